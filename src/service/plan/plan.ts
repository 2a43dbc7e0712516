import * as v from 'valibot'
import { hexEncode } from '../../common/bytes.ts'
import { sha256 } from '../../common/sha256.ts'
import { utf8Encode } from '../../common/utf8.ts'
import { integer } from '../../common/validate.ts'
import type { TableSchema } from '../../lake/iceberg/manifest.ts'
import type { ManifestedFile } from '../../lake/iceberg/manifestreader.ts'
import { currentSnapshot, type IcebergRecord, type IcebergSnapshot } from '../../lake/iceberg/record.ts'
import type { CatalogContext, CatalogRequest } from '../context.ts'
import { badRequest, RequestError } from '../requesterror.ts'
import { jsonResponse } from '../response.ts'
import { requestedTable } from '../tables.ts'
import { fieldIds, fileTest } from './filter.ts'
import type { SnapshotFiles } from './manifests.ts'
import { scanTasks } from './scantasks.ts'

/** Files of one answer; the tasks of more are fetched by plan tasks. */
export const FILES_MAX = 2000
/** JSON of a filter that a plan task has in it; a longer one is left to the client. */
const FILTER_MAX = 8192

const ID = integer(0, Number.MAX_SAFE_INTEGER)
const REQUEST = v.object({
  'snapshot-id': v.nullish(ID), 'start-snapshot-id': v.nullish(ID), 'end-snapshot-id': v.nullish(ID), 'case-sensitive': v.nullish(v.boolean()),
  'use-snapshot-schema': v.nullish(v.boolean()), 'stats-fields': v.nullish(v.array(v.string())), filter: v.optional(v.unknown()),
})

/**
 * What a plan task says: all that is needed to plan its files once more. It names the table and a snapshot, which do not change, so the catalog has nothing
 * to remember.
 */
const TASK = v.strictObject({
  uuid: v.string(), snapshot: ID, start: v.exactOptional(ID), schema: ID, from: ID, to: ID, stats: v.array(ID),
  filter: v.exactOptional(v.unknown()), caseSensitive: v.boolean(),
})
type PlanTask = v.InferOutput<typeof TASK>

/** `POST …/plan` (planTableScan): always completed. @throws RequestError 400, 404, 406 */
export async function planTableScan(own: CatalogRequest, context: CatalogContext): Promise<Response> {
  const { record } = await requestedTable(own)
  const { id, start, end, filter, ...asked } = requestOf(own.body ?? {})
  const wanted = id ?? end
  const snapshot = wanted === undefined ? currentSnapshot(record) : snapshotOf(record, wanted, 'NoSuchTableException')
  if (start !== undefined) checkAppends(record, start, snapshot)
  const schema = asked.snapshotSchema ? snapshot.schema : record.currentSchema
  const isShort = filter !== undefined && JSON.stringify(filter).length <= FILTER_MAX
  const task: PlanTask = {
    uuid: record.uuid, snapshot: snapshot.id, ...(start !== undefined && { start }), schema, from: 0, to: 0,
    stats: fieldIds(asked.stats, schemaOf(record, schema)), ...(isShort && { filter }), caseSensitive: asked.caseSensitive,
  }
  const files = await context.manifests.filesOf(record, snapshot)
  const [first, ...others] = slicesOf({ ...task, to: files.data.length }, record, files)
  return jsonResponse({
    // Nothing is remembered of a plan: its name is for the client's log.
    status: 'completed', 'plan-id': hexEncode(sha256(utf8Encode(JSON.stringify(task))).subarray(0, 16)),
    ...(first ? tasksOf(first, record, files) : { 'file-scan-tasks': [] }),
    ...(others.length > 0 && { 'plan-tasks': others.map((slice) => JSON.stringify(slice)) }),
  })
}

interface PlanRequest {
  readonly id: number | undefined
  readonly start: number | undefined
  readonly end: number | undefined
  readonly caseSensitive: boolean
  readonly snapshotSchema: boolean
  readonly stats: readonly string[]
  readonly filter: unknown
}

/** @throws RequestError 400 */
function requestOf(body: unknown): PlanRequest {
  const parsed = v.safeParse(REQUEST, body)
  if (!parsed.success) {
    const [issue] = parsed.issues
    throw badRequest(`the plan request is not valid: ${v.getDotPath(issue) ?? 'it'} is ${issue.received}`)
  }
  const { output: asked } = parsed
  const [id, start, end] = [asked['snapshot-id'] ?? undefined, asked['start-snapshot-id'] ?? undefined, asked['end-snapshot-id'] ?? undefined]
  if (id !== undefined && (start ?? end) !== undefined) throw badRequest('the request asks for a snapshot and for an incremental scan')
  if ((start === undefined) !== (end === undefined)) throw badRequest('an incremental scan needs start-snapshot-id and end-snapshot-id')
  return {
    id, start, end, caseSensitive: asked['case-sensitive'] ?? true, snapshotSchema: asked['use-snapshot-schema'] ?? false, stats: asked['stats-fields'] ?? [],
    filter: asked.filter,
  }
}

/** `POST …/tasks` (fetchScanTasks). @throws RequestError 400, 404 for a task of another table, or of a snapshot that is no longer listed */
export async function fetchScanTasks(own: CatalogRequest, context: CatalogContext): Promise<Response> {
  const { record } = await requestedTable(own)
  const { 'plan-task': text } = (own.body ?? {}) as Record<string, unknown>
  if (typeof text !== 'string') throw badRequest('plan-task is missing')
  const task = parseTask(text)
  if (task?.uuid !== record.uuid) throw noPlanTask('the plan task is of another table')
  const snapshot = snapshotOf(record, task.snapshot, 'NoSuchPlanTaskException')
  const files = await context.manifests.filesOf(record, snapshot)
  const fits = task.from <= task.to && task.to <= files.data.length && record.schemas.some(({ id }) => id === task.schema)
  if (!fits) throw noPlanTask('the snapshot has no such plan task')
  return jsonResponse(tasksOf(task, record, files))
}

function parseTask(text: string): PlanTask | undefined {
  try {
    const found = v.safeParse(TASK, JSON.parse(text))
    return found.success ? found.output : undefined
  } catch {
    return undefined
  }
}

function noPlanTask(message: string): RequestError {
  return new RequestError(404, 'NoSuchPlanTaskException', message)
}

function snapshotOf({ snapshots }: IcebergRecord, id: number, type: string): IcebergSnapshot {
  const found = snapshots.find((snapshot) => snapshot.id === id)
  if (found !== undefined) return found
  throw new RequestError(404, type, `the table has no snapshot ${id}, or no longer: it is not listed`)
}

/** An incremental scan has the files that were added in between: no row may have been hidden or moved. @throws RequestError 404, 406 */
function checkAppends({ snapshots }: IcebergRecord, start: number, end: IcebergSnapshot): void {
  const first = snapshots.findIndex(({ id }) => id === start)
  const last = snapshots.indexOf(end)
  const between = snapshots.slice(first + 1, last + 1)
  if (first >= 0 && first <= last && between.every(({ operation }) => operation === 'append')) return
  const why = first < 0 ? `the table lists no snapshot ${start}` : first > last ? `snapshot ${start} is behind snapshot ${end.id}`
    : 'rows were deleted or files replaced in between'
  throw new RequestError(406, 'UnsupportedOperationException', `an incremental scan needs appends alone: ${why}`)
}

function schemaOf({ schemas }: IcebergRecord, id: number): TableSchema {
  return schemas.find((schema) => schema.id === id)!
}

function snapshotsBehind({ snapshots }: IcebergRecord, start: number): Set<number> {
  return new Set(snapshots.slice(snapshots.findIndex(({ id }) => id === start) + 1).map(({ id }) => id))
}

/** Files of a task that may have rows of the scan, with their place. */
function* matchingFiles(
  { schema, filter, caseSensitive, from, to, start }: PlanTask, record: IcebergRecord, { data }: SnapshotFiles,
): Generator<[number, ManifestedFile]> {
  const test = filter === undefined ? undefined : fileTest(filter, schemaOf(record, schema), caseSensitive)
  const newer = start === undefined ? undefined : snapshotsBehind(record, start)
  for (let at = from; at < to; at++) {
    const file = data[at]!
    if (newer?.has(file.snapshot) !== false && test?.(file.metrics) !== false) yield [at, file]
  }
}

/** Cuts a task so that each part has at most {@link FILES_MAX} files. */
function slicesOf(task: PlanTask, record: IcebergRecord, files: SnapshotFiles): PlanTask[] {
  const slices: PlanTask[] = []
  let [from, count] = [0, 0]
  for (const [at] of matchingFiles(task, record, files)) {
    if (count === FILES_MAX) {
      slices.push({ ...task, from, to: at })
      ;[from, count] = [at, 0]
    }
    count++
  }
  if (count > 0) slices.push({ ...task, from })
  return slices
}

function tasksOf(task: PlanTask, record: IcebergRecord, files: SnapshotFiles): object {
  return scanTasks(Array.from(matchingFiles(task, record, files), ([, file]) => file), files, new Set(task.stats))
}
