import { hexEncode, readI32 } from '../common/bytes.ts'
import { CorruptionError, withPosition } from '../common/errors.ts'
import { decompress } from '../tuple/toast.ts'
import { isCompressed, isExternal, payloadStart, varlenaLength } from '../tuple/varlena.ts'
import type { PgAttribute } from './catalogs.ts'
import { checkTupleDesc } from './checkdesc.ts'
import type { Attribute, TupleDesc } from './tupledesc.ts'
import type { TypeDefs } from './typedefs.ts'

/*
 * attmissingval, an anyarray of one element, its payload (array.h; the data of a one-dimensional array begins 8-aligned):
 *
 *   0      4            8          12     16         20
 *   +------+------------+----------+------+----------+-----------+
 *   | ndim | dataoffset | elemtype | dim1 | lbound 1 | element…  |     ndim 1, dataoffset 0 (no NULLs), dim 1
 *   +------+------------+----------+------+----------+-----------+
 */
const ELEMENT_START = 20

/**
 * The descriptor of a relation from its pg_attribute rows, dropped ones included.
 * @param natts pg_class.relnatts
 * @throws CorruptionError catalog.attributes, catalog.missing-value, catalog.type
 */
export function buildTupleDesc(rows: readonly PgAttribute[], natts: number, types: TypeDefs): TupleDesc {
  if (rows.length !== natts || rows.some((row, i) => row.attnum !== i + 1)) {
    const found = rows.map((row) => row.attnum).join(' ').slice(0, 60)
    throw new CorruptionError('catalog.attributes', `pg_attribute has attributes [${found}], pg_class.relnatts is ${natts}`)
  }
  const desc = { attributes: rows.map(attributeOf), types: types.closure(rows.filter((row) => !row.dropped).map((row) => row.type)) }
  const fault = checkTupleDesc(desc)
  if (fault) throw new CorruptionError('catalog.type', `pg_attribute and pg_type contradict each other: ${fault.path} ${fault.problem}`)
  return desc
}

/** One pg_attribute row. @throws CorruptionError catalog.missing-value */
export function attributeOf(row: PgAttribute): Attribute {
  const { attnum, name, type, typmod, len, align, storage, dropped, generated, missing } = row
  const built: Attribute = {
    attnum, name, type: { oid: dropped ? 0 : type, typmod }, len, align, plain: storage === 'p', dropped, virtual: generated === 'v',
  }
  if (missing && !dropped) built.missing = hexEncode(withPosition({ attribute: name }, () => missingValue(missing, len)))
  return built
}

function missingValue(array: Uint8Array, len: number): Uint8Array {
  if (array.length <= ELEMENT_START) throw corrupt(`${array.length} bytes`)
  if (readI32(array, 0) !== 1 || readI32(array, 4) !== 0 || readI32(array, 12) !== 1) throw corrupt('no array of one element')
  if (len === -1) return varlenaPayload(array)
  const end = ELEMENT_START + len
  if (len < 0 || end > array.length) throw corrupt(`${array.length} bytes for an element of ${len}`)
  return array.slice(ELEMENT_START, end)
}

function varlenaPayload(array: Uint8Array): Uint8Array {
  const first = array[ELEMENT_START]!
  const end = ELEMENT_START + varlenaLength(array, ELEMENT_START, array.length)
  // Values are expanded before they go into an array (construct_md_array).
  if (isExternal(first)) throw corrupt('an out-of-line element')
  return isCompressed(first) ? decompress(array, ELEMENT_START + 4, end) : array.slice(payloadStart(array, ELEMENT_START), end)
}

function corrupt(reason: string): CorruptionError {
  return new CorruptionError('catalog.missing-value', `attmissingval: ${reason}`)
}
