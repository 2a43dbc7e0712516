import { describe, expect, test } from 'vitest'
import { newLaneCounts } from '../../src/columnar/lanes.ts'
import { CorruptionError, UnsupportedError } from '../../src/common/errors.ts'
import { type LakeRelation, type Manifest, parseManifest } from '../../src/lake/manifest.ts'
import { mutants, refusalProblem } from '../support/forge.ts'

function relation(relNumber: number, more: Partial<LakeRelation> = {}): LakeRelation {
  return {
    database: 'd', schema: 's', name: `t${relNumber}`, oid: relNumber, relkind: 'r', persistence: 'p', spcOid: 1663, dbOid: 5, relNumber,
    path: `base/5/${relNumber}`, forks: { main: 30, fsm: 3 }, visible: true, toastRelId: 0, parents: [], columns: ['a'], overflow: false,
    files: [
      { path: `data/d/s.t-${relNumber}/0000000000.parquet`, firstBlock: 0, blockCount: 20, rows: 9, bytes: 900, crc32: 5, hidden: null, damaged: [] },
      {
        path: `data/d/s.t-${relNumber}/0000000020.parquet`, firstBlock: 20, blockCount: 10, rows: 9, bytes: 900, crc32: 5,
        hidden: { path: `data/d/s.t-${relNumber}/0000000020.hidden.parquet`, rows: 2, crc32: 6 }, damaged: [{ block: 21, error: 'x' }],
      },
    ],
    lanes: newLaneCounts(), ...more,
  }
}

const manifest: Manifest = {
  format: 1, createdBy: 'ltap 0.1.0', profile: 'portable', systemIdentifier: '7300000000000000001', major: 17, catalogVersion: 202406281, blockSize: 8192,
  checksums: true, lsn: '0/16B3740', timeline: 1, source: '/data', complete: true, databases: [{ oid: 5, name: 'd', template: false }],
  relations: [relation(16384), relation(16385, { spcOid: 1664, dbOid: 0, path: 'global/16385', database: null })], orphans: ['base/5/9'], temporaryFiles: 0,
  notRead: [{ database: 'd', schema: 's', name: 'f', oid: 9, relkind: 'f', why: 'foreign-table', reason: 'x' }],
}

describe('a forged manifest', () => {
  test('there and back', () => {
    expect(parseManifest(JSON.stringify(manifest))).toEqual(manifest)
  })

  test('each member with each canary is refused with its name, or is what it says', () => {
    const faults: string[] = []
    let refused = 0
    for (const mutant of mutants(JSON.parse(JSON.stringify(manifest)))) {
      try {
        const found = parseManifest(mutant.json)
        const wanted = { ...JSON.parse(mutant.json) as Manifest }
        // An optional member may be missing; unknown members are left out.
        if (mutant.canary !== 'missing') expect(wanted).toMatchObject(found)
      } catch (error) {
        const problem = refusalProblem(error, mutant)
        if (problem === undefined) refused++
        else faults.push(`${mutant.path} = ${mutant.canary.slice(0, 60)}: ${problem}`)
      }
    }
    expect(faults).toEqual([])
    expect(refused).toBeGreaterThan(1000)
  })

  test('lanes that every ltap counted are there', () => {
    const forged = structuredClone(manifest)
    delete (forged.relations[1]!.lanes as Partial<Manifest['relations'][0]['lanes']>).pages
    expect(() => parseManifest(JSON.stringify(forged))).toThrow(/lake\.manifest: .*relations\[1\]\.lanes\.pages/)
  })

  test.each(['../x.parquet', '/etc/passwd', 'data/../../x', 'data//x', 'data/./x', '.', 'data/x\0', 'data/x\n', 'data\\x', 'C:/x', 'data/x*'])('the path %j', (path) => {
    for (const change of [(r: LakeRelation) => Object.assign(r.files[0]!, { path }), (r: LakeRelation) => Object.assign(r.files[1]!.hidden!, { path })]) {
      const forged = structuredClone(manifest)
      change(forged.relations[0]!)
      expect(() => parseManifest(JSON.stringify(forged))).toThrow(/lake\.manifest: .*relations\[0\]\.files\[\d\](\.hidden)?\.path is .*, not a path below the lake/)
    }
  })

  test.each<[string, (r: LakeRelation) => unknown]>([
    ['relations[0].path is "../../etc/passwd", not a path of a main fork', (r) => (r.path = '../../etc/passwd')],
    ['relations[0].path is \'base/5/1259\', but the relation is 1663/5/16384', (r) => (r.path = 'base/5/1259')],
    ['relations[0].path is \'global/16384\', but', (r) => (r.path = 'global/16384')],
    ['relations[1].path is \'global/16385\', as another', (r) => Object.assign(r, relation(16385, { spcOid: 1664, dbOid: 0, path: 'global/16385' }))],
    ['files[1].firstBlock is 21, but no file holds block 20', (r) => ((r.files[1]! as { firstBlock: number }).firstBlock = 21)],
    ['relations[0].forks.main is 4000000000, but the files end at block 30', (r) => (r.forks.main = 4_000_000_000)],
    ['files[1].damaged[0].block is not in the file', (r) => ((r.files[1]!.damaged[0]! as { block: number }).block = 5)],
  ])('%s', (message, change) => {
    const forged = structuredClone(manifest)
    change(forged.relations[0]!)
    expect(() => parseManifest(JSON.stringify(forged))).toThrow(message)
  })

  test('old ones have less, newer ones more', () => {
    const { notRead: _notRead, ...old } = structuredClone(manifest)
    delete (old.relations[0]!.lanes as Partial<Manifest['relations'][0]['lanes']>).oversized
    expect(parseManifest(JSON.stringify(old))).toEqual({ ...manifest, notRead: [] })
    expect(parseManifest(JSON.stringify({ ...manifest, later: 1 }))).toEqual(manifest)
    expect(() => parseManifest(JSON.stringify({ ...manifest, format: 2 }))).toThrow(UnsupportedError)
    expect(() => parseManifest('{"format":1')).toThrow(CorruptionError)
  })
})
