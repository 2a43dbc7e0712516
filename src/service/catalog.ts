import { isPositioned } from '../common/errors.ts'
import { isTooDeep } from '../common/validate.ts'
import type { Lake } from '../engine/lake.ts'
import { MISSING_OBJECT } from '../engine/pagereader.ts'
import { MAIN_BRANCH } from '../lake/state/names.ts'
import { configure } from './configuration.ts'
import type { CatalogContext, CatalogOptions, CatalogRequest } from './context.ts'
import { Manifests } from './plan/manifests.ts'
import { badRequest, noWarehouse, RequestError } from './requesterror.ts'
import { emptyResponse, errorResponse } from './response.ts'
import { CONFIG_PATH, findRoute } from './routes.ts'
import { States } from './states.ts'
import { grantOf } from './tokens.ts'
import { parsePrefix } from './warehouse.ts'

/**
 * An Iceberg REST catalog over the published tables of a lake, as a web-standard handler: it reads the lake and writes nothing. Each database is a warehouse,
 * each schema a namespace. Source: open-api/rest-catalog-open-api.yaml of apache/iceberg.
 */
export function icebergCatalog(lake: Lake, options: CatalogOptions): (request: Request) => Promise<Response> {
  const { branch = MAIN_BRANCH, onBug = () => {} } = options
  const context: CatalogContext = {
    ...options, lake, states: new States(lake, branch, options.root), manifests: new Manifests(lake.ports.store), located: new WeakSet(),
  }
  return async (request) => {
    const response = await answer(request, context).catch((error: unknown) => errorResponse(error, onBug))
    // What HEAD is answered has no body, whatever it says.
    return request.method === 'HEAD' ? emptyResponse({}, response.status) : response
  }
}

async function answer(request: Request, context: CatalogContext): Promise<Response> {
  const grant = grantOf(request, context.tokens)
  const url = new URL(request.url)
  if (url.pathname === CONFIG_PATH && request.method === 'GET') return await latest(context, () => configure(url.searchParams, grant, context))
  const { route, parameters } = findRoute(request.method, url.pathname)
  const warehouse = parsePrefix(parameters.get('prefix')!)
  if (warehouse === undefined) throw noWarehouse('the path has no prefix that GET /v1/config gave')
  const body = request.method === 'POST' ? await bodyOf(request) : undefined
  return await latest(context, async () => {
    const tables = await context.states.at(warehouse.at)
    const database = tables.databases.get(warehouse.database)
    if (database === undefined) throw noWarehouse(`the lake has no database ${warehouse.database}`)
    const own: CatalogRequest = { request, query: url.searchParams, parameters, warehouse, tables, database, grant, body }
    return await route(own, context)
  })
}

/** Objects of a state go when it is no longer retained: then the request is answered from the newest HEAD. */
async function latest(context: CatalogContext, respond: () => Promise<Response>): Promise<Response> {
  try {
    return await respond()
  } catch (error) {
    if (!isPositioned(error) || error.code !== MISSING_OBJECT) throw notRetained(error)
    context.states.forget()
    return await respond()
  }
}

/** A state that a warehouse names and the lake does not have, or did not publish, is the client's mistake. */
function notRetained(error: unknown): unknown {
  const isOfClient = isPositioned(error) && ['lake.no-state', 'lake.no-tag', 'catalog.not-published'].includes(error.code)
  return isOfClient ? noWarehouse(error.reason) : error
}

/** The most bytes of a request's body; lists of `IN` may be long. */
const BODY_MAX = 4 << 20

/** A JSON object; undefined for an empty body. @throws RequestError 400, 413 */
async function bodyOf(request: Request): Promise<object | undefined> {
  const text = await request.text().catch(() => { throw badRequest('the body did not come whole') })
  if (text.length > BODY_MAX) throw new RequestError(413, 'BadRequestException', `the request has more than ${BODY_MAX} bytes`)
  if (text === '') return undefined
  if (isTooDeep(text)) throw badRequest('the body has too many lists and objects within each other')
  const found = parsed(text)
  if (typeof found === 'object' && found !== null && !Array.isArray(found)) return found
  throw badRequest('the body is no JSON object')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
