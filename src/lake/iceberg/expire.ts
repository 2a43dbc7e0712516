import type { IcebergRecord, IcebergSnapshot } from './record.ts'

/** How long snapshots stay. */
export interface SnapshotWindow {
  /** At most so many, at least the current one. */
  readonly keepSnapshots: number
  /** None that was replaced so many milliseconds ago: a reader of the newest one has so long to finish, however old that is when the next one comes. */
  readonly keepMs: number
}

/** The newest snapshots that a window has: one range. @param nowMs milliseconds since 1970 */
export function snapshotsInWindow(snapshots: readonly IcebergSnapshot[], { keepSnapshots, keepMs }: SnapshotWindow, nowMs: number): readonly IcebergSnapshot[] {
  const newest = snapshots.slice(-Math.max(keepSnapshots, 1))
  return newest.filter((_, i) => i === newest.length - 1 || newest[i + 1]!.ms > nowMs - keepMs)
}

/**
 * Takes snapshots out that the window no longer has. Nothing but the metadata file changes; what only those snapshots had is no longer among
 * icebergObjects.
 * @param nowMs milliseconds since 1970
 * @returns undefined if all stay
 */
export function expireIceberg(previous: IcebergRecord, window: SnapshotWindow, nowMs: number): IcebergRecord | undefined {
  const snapshots = snapshotsInWindow(previous.snapshots, window, nowMs)
  if (snapshots.length === previous.snapshots.length) return undefined
  return withSnapshots({ ...previous, version: previous.version + 1, updatedMs: Math.max(nowMs, previous.updatedMs + 1) }, snapshots)
}

/** The record with these of its snapshots, which are the newest ones, and with what they need. */
export function withSnapshots(record: IcebergRecord, snapshots: readonly IcebergSnapshot[]): IcebergRecord {
  const [oldest] = snapshots as readonly [IcebergSnapshot]
  const schemas = new Set([record.currentSchema, ...snapshots.map(({ schema }) => schema)])
  return {
    ...record, snapshots, schemas: record.schemas.filter(({ id }) => schemas.has(id)),
    left: record.left.filter(({ sequence }) => sequence >= oldest.sequence),
  }
}
