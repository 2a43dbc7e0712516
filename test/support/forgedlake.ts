/** Files of a lake as a forger writes them: descriptors, manifests, footers, lists of hidden rows. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { crc32 } from 'node:zlib'
import { readParquet } from '../../src/parquet/parquetreader.ts'
import { encodeParquet } from '../../src/parquet/parquetwriter.ts'
import { rebuildPages } from '../../src/columnar/rebuild.ts'
import { encodeHidden } from '../../src/columnar/encodehidden.ts'
import { CorruptionError } from '../../src/common/errors.ts'
import { newVector } from '../../src/vector/columntype.ts'
import type { Vector, WordVector } from '../../src/vector/vector.ts'
import { expectedFile } from '../../src/jobs/lake.ts'
import { verify } from '../../src/jobs/tasks/verifytask.ts'
import { type LakeFile, type LakeRelation, type Manifest, parseManifest } from '../../src/lake/manifest.ts'
import { descriptorOf, withDescriptor, withoutChecksums } from './forge.ts'
import { forgedJson, writeInPlace } from './forgedbytes.ts'
import type { Random } from './random.ts'

export interface ForgedLakeSetup {
  lake: string
  /** The clean data directory that it was read from. */
  dataDir: string
  /** Names of tables in database postgres whose files are forged. */
  tables: readonly string[]
  /** One of them that has hidden rows. */
  holed: string
  /** An empty folder. */
  scratch: string
}

export class ForgedLake {
  private readonly setup: ForgedLakeSetup
  private readonly manifest: Manifest
  private readonly manifestText: string
  private readonly files: { bytes: Uint8Array; pages: Uint8Array }[]
  private readonly holed: { relation: LakeRelation; file: LakeFile; positions: number[] }

  constructor(setup: ForgedLakeSetup) {
    this.setup = setup
    const text = readFileSync(join(setup.lake, 'ltap.json'), 'utf8')
    this.manifest = parseManifest(text)
    // A few relations are all that members can be changed of.
    this.manifestText = JSON.stringify({ ...JSON.parse(text) as object, relations: this.manifest.relations.slice(0, 3) })
    const tables = this.manifest.relations.filter(({ name, database }) => setup.tables.includes(name) && database === 'postgres')
    this.files = tables.map(({ files }) => {
      const bytes = new Uint8Array(readFileSync(join(setup.lake, files[0]!.path)))
      return { bytes, pages: withoutChecksums(rebuildPages(bytes)) }
    })
    const relation = tables.find(({ name }) => name === setup.holed)!
    this.holed = this.copyOf(relation)
  }

  /** @param rebuild, and `parse` and `check` below: with a planted fault in tests of this test */
  descriptor(dice: Random, rebuild = rebuildPages): void {
    const { bytes, pages } = dice.pick(this.files)
    const json = forgedJson(JSON.parse(descriptorOf(bytes)), dice)
    samePages(rebuild(withDescriptor(bytes, json)), pages)
  }

  /** What is accepted is what is written: nothing is coerced, clamped or made up. */
  manifestJson(dice: Random, parse = parseManifest): void {
    const text = forgedJson(JSON.parse(this.manifestText), dice)
    sameMembers(parse(text), JSON.parse(text), '')
  }

  footer(dice: Random, rebuild = rebuildPages): void {
    const { bytes, pages } = dice.pick(this.files)
    samePages(rebuild(withFooterBytes(bytes, dice)), pages)
  }

  /** Other rows than those that no reader may see, or a file that is no list of rows, its CRC in the manifest: verify says so. */
  hidden(dice: Random, check = verify): void {
    const { relation, file, positions } = this.holed
    const listed = dice.int(12) === 0 ? positions : forgedPositions(positions, file.rows, dice)
    const isList = dice.int(4) > 0
    const bytes = isList ? encodeHidden(listed, 'none')! : dice.int(3) > 0 ? withFooterBytes(encodeHidden(listed, 'none')!, dice) : noList(listed, dice)
    writeInPlace(join(this.setup.scratch, file.hidden!.path), bytes)
    const rows = dice.int(8) === 0 ? dice.int(file.rows) : listed.length
    const { differing, differences } = check({
      lake: this.setup.scratch, file: { ...file, hidden: { ...file.hidden!, crc32: crc32(bytes), rows } }, checksums: true, visible: true,
      expected: expectedFile(this.manifest, relation, file),
      source: { snapshot: { pgdata: this.setup.dataDir, job: -1, options: {} }, fork: { path: join(this.setup.dataDir, relation.path), segments: [0] } },
    })
    const isTrue = rows === positions.length && listed.join() === positions.join()
    if (isList && isTrue !== (differing === 0)) throw new Error(`silent difference: hidden rows ${listed.join().slice(0, 200)}: ${differing} differences`)
    if (differing > 0) throw new CorruptionError('lake.hidden', differences[0]!.reason)
  }

  /** The relation's file in the scratch folder, where its list is replaced. */
  private copyOf(relation: LakeRelation): ForgedLake['holed'] {
    const file = relation.files[0]!
    const folder = join(this.setup.scratch, dirname(file.path))
    mkdirSync(folder, { recursive: true })
    for (const path of [file.path, file.hidden!.path]) writeFileSync(join(this.setup.scratch, path), readFileSync(join(this.setup.lake, path)))
    const list = readParquet(new Uint8Array(readFileSync(join(this.setup.lake, file.hidden!.path)))).readRowGroup(0).columns[0] as WordVector
    return { relation, file, positions: Array.from({ length: list.length }, (_, i) => list.words[i * 2]!) }
  }
}

/** Positions that are not those of the list, mostly: some more, fewer, twice, elsewhere, out of order or of the file. */
function forgedPositions(positions: readonly number[], rows: number, dice: Random): number[] {
  const forged = [...positions]
  for (let left = dice.pick([1, 1, 2, 5]); left > 0; left--) {
    const at = dice.int(forged.length)
    switch (dice.int(6)) {
      case 0:
        if (forged.length > 1) forged.splice(at, 1)
        break
      case 1:
        forged.push(dice.int(rows))
        forged.sort((a, b) => a - b)
        break
      case 2:
        forged[at] = dice.pick([-1, rows, 2 ** 32, 2 ** 32 + forged[at]!, Number.MAX_SAFE_INTEGER])
        break
      case 3:
        forged.splice(at, 0, forged[at]!)
        break
      case 4:
        forged[at]! += dice.pick([-1, 1])
        break
      default:
        forged.reverse()
    }
  }
  return forged
}

/** Positions in a file of another form: of another type, in two columns, in two row groups, in none. */
function noList(positions: readonly number[], dice: Random): Uint8Array {
  const column = (kind: 'int' | 'long'): Vector => {
    const vector = newVector({ kind }) as WordVector
    vector.reserve(positions.length)
    for (const position of positions) {
      if (kind === 'int') vector.push1(position | 0)
      else vector.push2(position | 0, Math.floor(position / 4294967296))
    }
    return vector as Vector
  }
  const kind = dice.pick(['int', 'long'] as const)
  const columns = dice.pick([1, 2])
  const fields = Array.from({ length: columns }, (_, i) => ({ name: `pos${i || ''}`, id: 2147483545 + i, type: { kind } }))
  const group = { rows: positions.length, columns: fields.map(() => column(kind)) }
  return encodeParquet(fields, { compression: 'none', metadata: {}, dictionary: () => false }, dice.pick([[group], [group, group], []]))
}

function withFooterBytes(original: Uint8Array, dice: Random): Uint8Array {
  const file = original.slice()
  const view = new DataView(file.buffer)
  const footer = file.length - 8 - view.getUint32(file.length - 8, true)
  for (let left = dice.pick([1, 1, 2, 4]); left > 0; left--) {
    const at = footer + dice.int(file.length - footer)
    if (dice.int(3) === 0) file.fill(0xff, at, at + 1 + dice.int(9))
    else if (dice.int(2) === 0) file[at] = dice.pick([0, 1, 0x7f, 0x80, 0xff, dice.int(256)])
    else file[at]! ^= 1 << dice.int(8)
  }
  return file
}

/** Members that older lakes do not have; without them there is nothing of the kind. */
const LATER_MEMBERS = new Set(['notRead', 'missingToast', 'unreadable', 'oversized', 'unknownStatus'])

/** Each member of what was accepted is a member of what was written. */
function sameMembers(found: unknown, written: unknown, path: string): void {
  if (found !== null && typeof found === 'object') {
    if (Array.isArray(found) && (!Array.isArray(written) || written.length !== found.length)) throw new Error(`silent difference: ${path} has another length`)
    for (const [key, value] of Object.entries(found)) {
      const isDefault = LATER_MEMBERS.has(key) && !Object.hasOwn(written as object, key) && (value === 0 || (value as unknown[]).length === 0)
      if (value !== undefined && !isDefault) sameMembers(value, (written as Record<string, unknown> | null)?.[key], `${path}.${key}`)
    }
  } else if (!Object.is(found, written)) {
    throw new Error(`silent difference: ${path} is ${String(found)}, and not what is written`)
  }
}

function samePages(found: Uint8Array, wanted: Uint8Array): void {
  if (Buffer.compare(withoutChecksums(found), wanted) !== 0) throw new Error('silent difference: other pages')
}
