import { expect, test } from 'vitest'
import { deltaSchema } from '../../../src/lake/delta/schemastring.ts'
import { column } from '../../support/publishedtables.ts'

test('a schema as Spark has it, with ids and physical names of all that has a name', () => {
  const { schemaString, maxColumnId, hasTimestampNtz } = deltaSchema([
    { ...column(1, 'shown', { kind: 'int' }), physicalName: 'stored' },
    column(2, 'n', { kind: 'decimal', precision: 38, scale: 9 }),
    column(3, 'list', { kind: 'list', element: { kind: 'struct', fields: [{ name: 'a', type: { kind: 'boolean' } }] } },
      [column(10_000, 'element', { kind: 'struct', fields: [{ name: 'a', type: { kind: 'boolean' } }] }, [column(10_001, 'a', { kind: 'boolean' })])]),
    column(4, 'map', { kind: 'map', value: { kind: 'timestamp', utc: true } },
      [column(10_002, 'key', { kind: 'string' }), column(10_003, 'value', { kind: 'timestamp', utc: true })]),
  ], 'public.t')
  const metadata = (id: number, name: string): object => ({ 'delta.columnMapping.id': id, 'delta.columnMapping.physicalName': name })
  expect(JSON.parse(schemaString)).toEqual({
    type: 'struct',
    fields: [
      { name: 'shown', type: 'integer', nullable: true, metadata: metadata(1, 'stored') },
      { name: 'n', type: 'decimal(38,9)', nullable: true, metadata: metadata(2, 'n') },
      {
        name: 'list', nullable: true, metadata: metadata(3, 'list'),
        type: { type: 'array', elementType: { type: 'struct', fields: [{ name: 'a', type: 'boolean', nullable: true, metadata: metadata(10_001, 'a') }] }, containsNull: true },
      },
      { name: 'map', type: { type: 'map', keyType: 'string', valueType: 'timestamp', valueContainsNull: true }, nullable: true, metadata: metadata(4, 'map') },
    ],
  })
  expect({ maxColumnId, hasTimestampNtz }).toEqual({ maxColumnId: 10_003, hasTimestampNtz: false })
  expect(deltaSchema([column(1, 'local', { kind: 'timestamp', utc: false })], 'public.t').hasTimestampNtz).toBe(true)
})

test.each(['uuid', 'time'] as const)('Delta has no %s', (kind) => {
  const nested = column(2, 's', { kind: 'struct', fields: [{ name: 'x', type: { kind } }] }, [column(3, 'x', { kind })])
  expect(() => deltaSchema([nested], 'public.t')).toThrow(
    `delta.type: Delta has no type for the ${kind} column 's.x' of public.t: publish the table for Iceberg only`)
})
