import { EnvironmentError } from '../../common/errors.ts'
import { printable } from '../../common/printable.ts'

/** The folder of rows whose partition column is NULL, as Hive calls it (hive.exec.default.partition.name). */
const NULL_PARTITION = '__HIVE_DEFAULT_PARTITION__'
/** What Hive writes as `%` and two hex digits: FileUtils.charToEscape. */
// eslint-disable-next-line no-control-regex
const ESCAPED = /[\x00-\x1f"#%'*/:=?\\\x7f{[\]^]/g
/** What file systems take for a name. */
const NAME_BYTES_MAX = 255

/**
 * The folder of a row, `a=1/b=x%2Fy`: Hive's layout, which DuckDB, Spark, pyarrow and others read.
 * @param values as CSV has them; undefined for NULL
 * @throws EnvironmentError query.partition for a value that Hive's layout cannot tell from NULL, or that is too long for a name
 */
export function hivePath(columns: readonly string[], values: readonly (string | undefined)[]): string {
  return columns.map((column, i) => folderName(column, values[i])).join('/')
}

function folderName(column: string, value: string | undefined): string {
  if (value === '' || value === NULL_PARTITION) {
    const what = value === '' ? 'an empty text' : `the text ${NULL_PARTITION}`
    const advice = `partition by another column, or by nullif(${printable(column)}, '${value}')`
    throw refused(column, `has ${what}, which a folder's name cannot tell from NULL: ${advice}`)
  }
  const name = `${escaped(column)}=${value === undefined ? NULL_PARTITION : escaped(value)}`
  const bytes = Buffer.byteLength(name)
  if (bytes <= NAME_BYTES_MAX) return name
  const advice = 'partition by something shorter, such as left(…, 50)'
  throw refused(column, `has a value whose folder's name is ${bytes} bytes, and ${NAME_BYTES_MAX} are possible: ${advice}`)
}

function escaped(text: string): string {
  return text.replace(ESCAPED, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)
}

function refused(column: string, reason: string): EnvironmentError {
  return new EnvironmentError('query.partition', `partition column ${printable(column)} ${reason}`)
}
