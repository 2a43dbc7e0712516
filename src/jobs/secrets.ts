import type { Relation } from '../catalog/relations.ts'
import type { Oid } from '../common/ids.ts'

/** Catalogs that hold secrets (password hashes, connection strings), and what --exclude-secrets says of each. */
const SECRETS: ReadonlyMap<Oid, string> = new Map([
  [1260, 'pg_authid holds password hashes'],
  [1417, 'pg_foreign_server holds options of connections'],
  [1418, 'pg_user_mapping holds passwords of other servers'],
  [6100, 'pg_subscription holds connection strings'],
  // ANALYZE puts sample values of every column into pg_statistic, including columns of these catalogs.
  [2619, 'pg_statistic holds samples of the values of these catalogs, and of all others'],
])
/** VACUUM FULL rewrites a catalog under this name; such a relation is left if the server crashed before the end. */
const TRANSIENT_NAME = /^pg_temp_(\d+)$/

/** Why --exclude-secrets leaves a relation out; undefined if it does not. Its TOAST relation goes along. */
export function secretReason({ schema, name, oid }: Pick<Relation, 'schema' | 'name' | 'oid'>): string | undefined {
  if (schema !== 'pg_catalog') return undefined
  const reason = SECRETS.get(oid) ?? SECRETS.get(Number(TRANSIENT_NAME.exec(name)?.[1]))
  return reason && `left out by --exclude-secrets: ${reason}`
}
