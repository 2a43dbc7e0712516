import { parseLsn, formatLsn } from '../common/ids.ts'
import type { CatalogContext } from './context.ts'
import { badRequest, noWarehouse } from './requesterror.ts'
import { jsonResponse } from './response.ts'
import { ENDPOINTS } from './routes.ts'
import type { Grant } from './tokens.ts'
import { type Pinned, type Warehouse, warehousePrefix } from './warehouse.ts'

/**
 * `GET /v1/config?warehouse=<database>[@<LSN, tag, time or now>]`. A time becomes the LSN of its state here, and `now` that of the last state that was
 * published to its end.
 */
export async function configure(query: URLSearchParams, grant: Grant, context: CatalogContext): Promise<Response> {
  const warehouse = await warehouseOf(query.get('warehouse') ?? '', grant, context)
  const { scanPlanning } = context
  return jsonResponse({
    defaults: context.defaults ?? {},
    overrides: { prefix: warehousePrefix(warehouse), ...(scanPlanning && { 'scan-planning-mode': scanPlanning }) },
    endpoints: ENDPOINTS,
  })
}

/** Who sees only some namespaces is told no name of a database. */
async function warehouseOf(text: string, grant: Grant, context: CatalogContext): Promise<Warehouse> {
  const { databases } = await context.states.at(undefined)
  const known = [...databases.keys()]
  if (text === '') {
    if (known.length === 1) return { database: known[0]!, at: undefined }
    throw badRequest(`name a warehouse: ${grant === undefined ? `one of ${known.join(', ')}` : 'a database of the lake'}`)
  }
  if (databases.has(text)) return { database: text, at: undefined }
  const split = text.lastIndexOf('@')
  if (split <= 0) throw noWarehouse(`the lake has no database ${text}${grant === undefined ? `; it has ${known.join(', ')}` : ''}`)
  const [database, at] = [text.slice(0, split), await pinnedAt(text.slice(split + 1), context)]
  // A database may have been dropped since.
  if (!(await context.states.at(at)).databases.has(database)) throw noWarehouse(`the lake has no database ${database} there`)
  return { database, at }
}

async function pinnedAt(text: string, { states, parseTime }: CatalogContext): Promise<Pinned> {
  if (text === 'now') return { lsn: (await states.at(undefined)).settings?.lsn ?? await states.lsnOf('newest') }
  if (await states.hasTag(text)) return { tag: text }
  const lsn = parseLsn(text)
  if (lsn !== undefined) return { lsn: formatLsn(lsn) }
  const time = parseTime?.(text)
  if (time !== undefined) return { lsn: await states.lsnOf({ time }) }
  throw noWarehouse(`${JSON.stringify(text)} is no tag, no LSN such as 16/B374D848 and no time such as 2026-01-31 12:00:00Z`)
}
