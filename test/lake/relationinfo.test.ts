import { expect, test } from 'vitest'
import { crc32c } from '../../src/common/crc32c.ts'
import { catalogEdit, type CatalogEntry, parseCatalogEntry } from '../../src/lake/clusterinfo.ts'
import { decodeDescription, encodeDescription, parseRelationInfo, type RelationInfo, relationInfoJson, type TableDescription } from '../../src/lake/relationinfo.ts'
import { type ClusterFile, fileKey, filePath, parseFile } from '../../src/lake/state/files.ts'
import { objectsOf } from '../../src/lake/state/objects.ts'
import { parseRelationKey, relationKey } from '../../src/lake/state/relationlayers.ts'
import { statusXid } from '../../src/lake/state/status.ts'

const DESCRIPTION = { key: 'ltap/parts/x', start: 5, length: 100, crc: 7, sha256: 'a'.repeat(43) }
const INFO: RelationInfo = {
  schema: 'public', name: 'orders', oid: 16384, relkind: 'r', persistence: 'p', path: 'base/5/16390', visible: true, toastRelId: 0, parents: [1], description: DESCRIPTION,
}
const KEY = relationKey({ dbOid: 5, relNumber: 16390, spcOid: 1663 }, '0/1800028')

test('what a state says of a relation, there and back, with its objects', () => {
  const json = JSON.parse(JSON.stringify(relationInfoJson(INFO))) as ReturnType<typeof relationInfoJson>
  expect(parseRelationInfo(json, KEY)).toEqual(INFO)
  const value = { info: json, layers: [{ lsn: '0/8', smallest: 0, length: 1, files: [{ key: 'a/b.parquet', objects: ['a/c.blocks'] }] }] }
  expect(objectsOf(KEY, value)).toEqual(['ltap/parts/x', 'a/b.parquet', 'a/c.blocks'])
  expect(parseRelationKey(KEY)).toEqual({ dbOid: 5, relNumber: 16390, spcOid: 1663, creationLsn: '0/1800028' })
})

test.each<[object, string]>([
  [{ name: 5 }, 'info.name is 5, not text without NUL'], [{ path: '../../etc/passwd' }, 'info.path is "../../etc/passwd"'], [{ relkind: 'i' }, 'info.relkind is "i"'],
  [{ description: {} }, 'info.description.start is missing'], [{ visible: 'yes' }, 'info.visible is "yes"'], [{ oid: -1 }, 'info.oid is -1'],
])('a wrong member of it is damage: %j', (more, message) => {
  expect(() => parseRelationInfo({ ...relationInfoJson(INFO), ...more }, KEY)).toThrow(expect.objectContaining({ code: 'lake.state', message: expect.stringContaining(message) }))
})

test('a member of a newer ltap is refused', () => {
  expect(() => parseRelationInfo({ ...relationInfoJson(INFO), later: 1 }, KEY)).toThrow(expect.objectContaining({ name: 'UnsupportedError' }))
})

test('the description of a table, there and back; no changed bit passes', () => {
  const description: TableDescription = { encoding: 6, desc: { attributes: [], types: [] }, fields: { columns: [], next: 10_000, given: [] }, overflow: [], virtualColumns: [{ name: 'v', type: 'int', expression: '1' }] }
  const bytes = encodeDescription(description)
  const ref = { key: 'ltap/parts/x', start: 0, length: bytes.length, crc: crc32c(bytes) }
  expect(decodeDescription(bytes, ref)).toEqual(description)
  for (let at = 0; at < bytes.length; at++) {
    const flipped = bytes.slice()
    flipped[at]! ^= 1
    expect(() => decodeDescription(flipped, ref)).toThrow(expect.objectContaining({ code: 'lake.description' }))
  }
  const forged = new TextEncoder().encode('{"encoding":99,"desc":{"attributes":[],"types":[]},"fields":{"columns":[],"next":10000,"given":[]},"overflow":[],"virtualColumns":[]}')
  expect(() => decodeDescription(forged, { ...ref, length: forged.length, crc: crc32c(forged) })).toThrow('encoding is 99')
})

test.each<[CatalogEntry]>([
  [{
    kind: 'cluster', cluster: {
      major: 17, catalogVersion: 202406281, blockSize: 8192, checksums: true, createdBy: 'ltap 0.1.0', complete: true, source: '/data', orphans: ['base/5/1'], temporaryFiles: 2,
      nextXid: 2 ** 40, packing: { threshold: 64, below: 0 },
    },
  }],
  [{ kind: 'database', database: { oid: 5, name: 'shop', template: false } }],
  [{ kind: 'parent', parent: { dbOid: 5, oid: 7, schema: 's', name: 'p', parents: [], description: DESCRIPTION } }],
  [{ kind: 'notread', notRead: { database: null, schema: 's', name: 't', oid: 9, relkind: 'r', why: 'excluded', reason: 'x' } }],
])('an entry of the catalog, there and back: %#', (entry) => {
  const { key, value, tree } = catalogEdit(entry, 3)
  expect(parseCatalogEntry(key, JSON.parse(JSON.stringify(value)))).toEqual(entry)
  expect(objectsOf({ tree, key }, value)).toEqual(entry.kind === 'parent' ? ['ltap/parts/x'] : [])
  expect(() => parseCatalogEntry(key, 7)).toThrow(`the entry ${key} of catalog is damaged`)
})

test('an entry of the catalog of an unknown kind is damage', () => {
  expect(() => parseCatalogEntry('planet/1', {})).toThrow('the entry planet/1 of catalog is damaged')
})

test.each(['zz', 'cluster/1', 'database/', 'database/x', 'parent/5', 'notread/1', 'constructor'])('a key that names nothing of a catalog: %s', (key) => {
  expect(() => parseCatalogEntry(key, {})).toThrow(expect.objectContaining({
    code: 'lake.state', reason: `the entry ${key} of catalog is damaged: its key names neither the cluster, nor a database, a partitioned table or a relation that was not read`,
  }))
})

test.each(['%', '%zz', '%ff', 'a%62', 'base%2F5'])('a key that names no file of the cluster: %s', (key) => {
  expect(() => filePath({ key })).toThrow(expect.objectContaining({ code: 'lake.state', reason: `the entry ${key} of files is damaged: its key names no file` }))
})

test.each(['', 'zz', '5', '1'.repeat(21), '9'.repeat(20), '0x00000000000000000f'])('a key that names no transaction: %j', (key) => {
  expect(() => statusXid({ key })).toThrow(expect.objectContaining({ code: 'lake.state', reason: `the entry ${key} of status is damaged: its key names no transaction` }))
})

test.each([{ start: 9007199254740990 }, { start: 2 ** 52 }, { length: 2 ** 52 }, { length: 0 }, { start: -1 }])('a piece that is no range of bytes: %j', (more) => {
  const { key, ...description } = { ...DESCRIPTION, ...more }
  const [member] = Object.keys(more)
  expect(() => parseRelationInfo({ ...relationInfoJson(INFO), objects: [key], description }, KEY)).toThrow(`info.description.${member} is`)
  expect(() => parseFile({ kind: 'file', mode: 0, content: { ...DESCRIPTION, ...more } }, fileKey('PG_VERSION'))).toThrow(`content.${member} is`)
  const parent = { dbOid: 5, oid: 7, schema: 's', name: 'p', parents: [], objects: ['ltap/parts/x'], description }
  expect(() => parseCatalogEntry('parent/5/7', parent)).toThrow(`description.${member} is`)
  expect(() => parseCatalogEntry('parent/5/7', { ...parent, objects: ['../x'] })).toThrow('objects[0] is "../x", not a key of an object')
})

test('a description that is not UTF-8, though its CRC is right, is damage', () => {
  const bytes = Uint8Array.of(0x22, 0xff, 0x22)
  expect(() => decodeDescription(bytes, { key: 'ltap/parts/x', start: 0, length: 3, crc: crc32c(bytes) })).toThrow(expect.objectContaining({ code: 'lake.description' }))
})

test.each<[ClusterFile, string[]]>([
  [{ kind: 'file', mode: 0o600, content: { key: 'ltap/parts/x', start: 0, length: 8192, crc: 9, sha256: 'b'.repeat(43) } }, ['ltap/parts/x']], [{ kind: 'file', mode: 0o600 }, []],
  [{ kind: 'link', target: '/ssd/fast' }, []], [{ kind: 'folder', mode: 0o700 }, []],
])('a file of the cluster: %j', (file, objects) => {
  const entry = fileKey('pg_xact/0000')
  expect(parseFile(file, entry)).toEqual(file)
  expect(objectsOf(entry, file)).toEqual(objects)
})

test.each(['PG_VERSION', 'base/5/pg_filenode.map', 'conf.d/a b%20ü.conf'])('its path is what it was: %s', (path) => {
  expect(filePath(fileKey(path))).toBe(path)
  expect(fileKey(path).key).toMatch(/^[\x21-\x7e]+$/)
})

test('a file of the cluster with a wrong member is damage', () => {
  expect(() => parseFile({ kind: 'file', mode: 0o777777 }, fileKey('x'))).toThrow('the entry x of files is damaged')
  expect(() => parseFile({ kind: 'pipe' }, fileKey('x'))).toThrow('the entry x of files is damaged')
})
