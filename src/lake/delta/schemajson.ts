import * as v from 'valibot'
import { exactly, integer, matching, type Schema, text } from '../../common/validate.ts'

/*
 * The check of a schemaString as ltap writes it (PROTOCOL.md, Schema Serialization Format and Column Mapping).
 */

const primitive = matching(
  /^(?:boolean|byte|short|integer|long|float|double|date|timestamp|timestamp_ntz|string|binary|decimal\(\d{1,2},\d{1,2}\))$/, 'a type of Delta')
const TYPE: Schema<unknown> = v.lazy((found) => {
  if (typeof found !== 'object') return primitive
  const kind = (found as { type?: unknown } | null)?.type
  return kind === 'array' ? ARRAY : kind === 'map' ? MAP : DELTA_SCHEMA
})
const FIELD = v.strictObject({
  name: text, type: TYPE, nullable: v.boolean('true or false'),
  metadata: v.strictObject({ 'delta.columnMapping.id': integer(1, 0x7fffffff), 'delta.columnMapping.physicalName': text }),
})
export const DELTA_SCHEMA: Schema<unknown> = v.strictObject({ type: exactly('struct'), fields: v.array(FIELD) })
const ARRAY: Schema<unknown> = v.strictObject({ type: exactly('array'), elementType: TYPE, containsNull: v.boolean('true or false') })
const MAP: Schema<unknown> = v.strictObject({ type: exactly('map'), keyType: TYPE, valueType: TYPE, valueContainsNull: v.boolean('true or false') })
