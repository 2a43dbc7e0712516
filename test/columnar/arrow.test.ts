import { Data, RecordBatch, Struct } from 'apache-arrow'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arrowBatch, batchVectors } from '../../src/parquet/arrow.ts'
import { arrowSchema, lakeFields } from '../../src/parquet/arrowschema.ts'
import { newVector } from '../../src/vector/columntype.ts'
import type { ListVector} from '../../src/vector/vector.ts';
import { WordVector } from '../../src/vector/vector.ts'
import { columnType, lakeField, pushValue, type Value, valueAt, valueOf } from './lakevalues.ts'

const columns = columnType.chain((type) => fc.tuple(fc.constant(type), fc.array(valueOf(type), { maxLength: 40 })))

describe('vectors and Arrow arrays', () => {
  it('are the same, slices and slices of slices too, and can be appended to', () => {
    fc.assert(
      fc.property(columns, fc.nat(), fc.nat(), fc.nat(), ([type, values], cut1, cut2, cut3) => {
        const fields = [lakeField('c', type, { next: 5 })]
        const schema = arrowSchema(fields)
        expect(lakeFields(schema)).toEqual(fields)
        const vector = newVector(type)
        for (const value of values) pushValue(vector, value)
        let batch = arrowBatch(schema, [vector], values.length)
        let expected: readonly Value[] = values
        for (const cut of [cut1, cut2]) {
          const start = cut % (expected.length + 1)
          const end = start + (cut3 % (expected.length - start + 1))
          const data = batch.data.children[0]!.slice(start, end - start)
          batch = new RecordBatch(schema, new Data(new Struct(schema.fields), 0, end - start, 0, {}, [data]))
          expected = expected.slice(start, end)
          const [read] = batchVectors(batch)
          expect(expected.map((_, row) => valueAt(read!, type, row))).toEqual(expected)
          for (const value of values.slice(0, 3)) pushValue(read!, value)
          const grown = [...expected, ...values.slice(0, 3)]
          expect(grown.map((_, row) => valueAt(read!, type, row))).toEqual(grown)
        }
        expect(values.map((_, row) => valueAt(vector, type, row))).toEqual(values)
      }),
      { numRuns: 2000 },
    )
  })

  it('share their memory', () => {
    const vector = new WordVector(2)
    for (let i = 0; i < 20; i++) vector.push2(i, 0)
    const batch = arrowBatch(arrowSchema([{ name: 'c', id: 1, type: { kind: 'long' } }]), [vector], 20)
    expect(batch.data.children[0]!.values.buffer).toBe(vector.words.buffer)
    expect((batchVectors(batch)[0] as WordVector).words.buffer).toBe(vector.words.buffer)
  })

  it('refuses a map whose key is null, and vectors of another type', () => {
    const field = lakeField('m', { kind: 'map', value: { kind: 'int' } }, { next: 1 })
    const vector = newVector(field.type) as ListVector
    pushValue(vector, [[null, 1]])
    expect(() => arrowBatch(arrowSchema([field]), [vector], 1)).toThrow('ltap bug')
    expect(() => arrowBatch(arrowSchema([{ name: 'c', id: 1, type: { kind: 'int' } }]), [new WordVector(2)], 1)).toThrow('ltap bug')
  })
})
