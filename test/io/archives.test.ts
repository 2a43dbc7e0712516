/**
 * Archives and backups as tools lay them out. Made by the tools themselves where those are installed (gzip, bzip2, xz, lz4, zstd, tar, and
 * pgBackRest, Barman and openssl and gpg); else, and always for WAL-G, put together as their documentation and sources say.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { seed } from '../../src/io/seed/seed.ts'
import { WalInventory } from '../../src/io/walsource/inventory.ts'
import { openWal } from '../../src/io/walsource/walsource.ts'
import { ltap } from '../cli/streams.ts'
import { closeSessions, majors, withCluster } from '../support/oracle.ts'
import { amount, drawn } from '../support/scope.ts'
import { systemPostgres } from '../support/systempostgres.ts'
import { pax, tarOf } from '../support/tars.ts'

const MAJOR = Math.max(...majors())
const DEBIAN = systemPostgres()
const SEGMENT_SIZE = 1 << 20
let root: string
let wal: string
let data: string
let backup: string
let expected: string[]
let folders = 0

const fresh = (name = ''): string => {
  const dir = join(root, `d${++folders}`, name)
  mkdirSync(dir, { recursive: true })
  return dir
}
const has = (program: string): boolean => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0
const pipe = (program: string, args: readonly string[], input: Uint8Array): Uint8Array =>
  execFileSync(program, args, { input, maxBuffer: 1 << 28, stdio: ['pipe', 'pipe', 'ignore'] })

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'ltap-archives-'))
  ;[data, backup, wal] = [join(root, 'data'), join(root, 'backup'), join(root, 'wal')]
  await withCluster(MAJOR, { initdbArgs: ['--wal-segsize=1'], settings: { wal_keep_size: '100MB', autovacuum: 'off' } }, async (cluster, sql) => {
    await sql.script(`CREATE TABLESPACE space LOCATION '${await cluster.makeDir('space')}'; CREATE TABLE s TABLESPACE space AS SELECT 1 a`)
    await sql.script('CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 5000) i; CHECKPOINT; SELECT pg_switch_wal()')
    const [begin, stop] = MAJOR === 14 ? ["pg_start_backup('b', true, false)", 'pg_stop_backup(false, false)'] : ["pg_backup_start('b', true)", 'pg_backup_stop(false)']
    await sql.exec(`SELECT ${begin}`)
    cpSync(cluster.dataDir, backup, { recursive: true, verbatimSymlinks: true, filter: (name) => !/postmaster\.(pid|opts)$|pg_wal\//.test(name) })
    const [row] = await sql.rows(`SELECT * FROM ${stop}`)
    writeFileSync(join(backup, 'backup_label'), row![1]!)
    writeFileSync(join(backup, 'tablespace_map'), row![2]!)
    await sql.script('INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 9000) i; SELECT pg_switch_wal(); INSERT INTO t VALUES (0)')
    await closeSessions(cluster)
    await cluster.stop()
    await cluster.copyDataDir(data)
    // The tablespace is where the copies can find it after the server is gone.
    const link = readdirSync(join(backup, 'pg_tblspc'))[0]!
    cpSync(join(cluster.dataDir, 'pg_tblspc', link, '/'), join(root, 'space'), { recursive: true })
    writeFileSync(join(backup, 'tablespace_map'), `${link} ${join(root, 'space')}\n`)
  })
  cpSync(join(data, 'pg_wal'), wal, { recursive: true })
  // Recycled files would end the WAL of a complete archive, too, but a tool archives none.
  const end = segmentNames().findLast((name) => recordsOf(join(wal, name)) > 0)!
  const start = /\(file (\w{24})\)/.exec(readFileSync(join(backup, 'backup_label'), 'utf8'))![1]!
  for (const name of segmentNames()) if (name > end || name < start) rmSync(join(wal, name))
  expect(segmentNames().length).toBeGreaterThanOrEqual(3)
  expected = drain(wal)
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

const segmentNames = (): string[] => readdirSync(wal).filter((name) => /^[0-9A-F]{24}$/.test(name)).sort()

function recordsOf(path: string): number {
  try {
    return drain(path).length
  } catch {
    return 0
  }
}

function drain(path: string): string[] {
  const source = openWal(path)
  const records: string[] = []
  for (let record = source.read(); record !== undefined; record = source.read()) records.push(`${record.startLsn} ${record.length} ${record.crc}`)
  source.close()
  return records
}

/** An archive with each segment as `place` names it, relative, and `pack` packs it. */
function archive(place: (name: string, bytes: Uint8Array) => string, pack: (bytes: Uint8Array) => Uint8Array): string {
  const dir = fresh()
  for (const name of segmentNames()) {
    const bytes = new Uint8Array(readFileSync(join(wal, name)))
    const path = join(dir, place(name, bytes))
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, pack(bytes))
  }
  return dir
}

const sha1 = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex')
const gzip = (bytes: Uint8Array): Uint8Array => gzipSync(bytes)
/** A folder per log id: pgBackRest and Barman. */
const logged = (name: string, end = ''): string => `${name.slice(0, 16)}/${name}${end}`
const PACKERS: readonly [ending: string, program: string, pack: (bytes: Uint8Array) => Uint8Array][] = [
  ['', 'true', (bytes) => bytes], ['.gz', 'gzip', (bytes) => pipe('gzip', ['-c'], bytes)], ['.bz2', 'bzip2', (bytes) => pipe('bzip2', ['-1', '-c'], bytes)],
  ['.xz', 'xz', (bytes) => pipe('xz', ['-0', '-c'], bytes)], ['.lzma', 'xz', (bytes) => pipe('xz', ['-0', '--format=lzma', '-c'], bytes)],
  ['.lz4', 'lz4', (bytes) => pipe('lz4', ['-c'], bytes)], ['.zst', 'zstd', (bytes) => pipe('zstd', ['-q', '-c'], bytes)],
  ['.br', 'true', (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } })],
]

describe('WAL', () => {
  test.each(drawn(PACKERS, 4, 'packed segments'))('segments%s, in a folder, in WAL-G\'s, by log id with pgBackRest\'s checksum', (ending, program, pack) => {
    if (program !== 'true' && !has(program)) return
    expect(drain(archive((name) => `${name}${ending}`, pack))).toEqual(expected)
    expect(drain(archive((name) => `wal_005/${name}${ending}`, pack))).toEqual(expected)
    expect(drain(archive((name, bytes) => logged(name, `-${sha1(bytes)}${ending}`), pack))).toEqual(expected)
  })

  test('Barman: compressed without an end of the name, found by the first bytes', () => {
    for (const [, program, pack] of drawn(PACKERS.filter(([ending]) => !['.lzma', '.br'].includes(ending)), 3, 'packed segments of Barman')) {
      if (program !== 'true' && !has(program)) continue
      const dir = archive((name) => `wals/${logged(name)}`, pack)
      writeFileSync(join(dir, 'wals/xlog.db'), `${segmentNames()[0]}\t1000\t1700000000.0\tgzip\n`)
      expect(drain(dir)).toEqual(expected)
      expect(drain(join(dir, 'wals'))).toEqual(expected)
    }
  })

  test.skipIf(spawnSync('python3', ['-c', 'import barman.compression'], { stdio: 'ignore' }).status !== 0 && !existsSync('/usr/lib/python3/dist-packages/barman'))(
    'Barman, by its own compressors and its own folder names', () => {
      const dir = fresh('wals')
      const script = `
import sys
sys.path.append('/usr/lib/python3/dist-packages')
import os
from barman import xlog
from barman.compression import PyGZipCompressor, PyBZip2Compressor
class Config: pass
for i, name in enumerate(sorted(os.listdir(sys.argv[1]))):
    if not xlog.is_any_xlog_file(name): continue
    compressor = (PyGZipCompressor if i % 2 == 0 else PyBZip2Compressor)(Config(), 'py')
    folder = os.path.join(sys.argv[2], xlog.hash_dir(name))
    os.makedirs(folder, exist_ok=True)
    compressor.compress(os.path.join(sys.argv[1], name), os.path.join(folder, name))
`
      execFileSync(existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3', ['-c', script, wal, dir])
      expect(readdirSync(dir)).toContain('0000000100000000')
      expect(drain(dir)).toEqual(expected)
    })

  test('pg_wal.tar, compressed or not, as --wal and in inspect wal', async () => {
    for (const [ending, program, pack] of PACKERS.filter(([end]) => ['', '.gz', '.lz4'].includes(end))) {
      if (program !== 'true' && !has(program)) continue
      const dir = fresh()
      writeFileSync(join(dir, `pg_wal.tar${ending}`), pack(tarball(wal)))
      const out = join(root, `out${++folders}`)
      const ran = await ltap(['replay', backup, '--wal', dir, '--out', out])
      expect(ran, ending).toMatchObject({ code: 0, stderr: '' })
      expect(await ltap(['replay', backup, '--wal', join(dir, `pg_wal.tar${ending}`), '--out', out])).toMatchObject({ code: 0, stdout: expect.stringMatching(/0 records/) as string })
      const inspected = await ltap(['inspect', 'wal', join(dir, `pg_wal.tar${ending}`), '--json'])
      expect(inspected.stdout.trimEnd().split('\n')).toHaveLength(expected.length)
    }
  })

  test('a wrong checksum, two files of one segment, a bomb', () => {
    const names = segmentNames()
    const wrong = archive((name, bytes) => logged(name, `-${name === names[1] ? sha1(bytes.subarray(1)) : sha1(bytes)}.gz`), gzip)
    expect(() => drain(wrong)).toThrow(new RegExp(`wal.sha1: .*get the file again from the repository.*${names[1]}`))
    const plain = archive((name, bytes) => logged(name, `-${name === names[1] ? sha1(bytes.subarray(1)) : sha1(bytes)}`), (bytes) => bytes)
    expect(() => drain(plain)).toThrow(/wal.sha1/)
    const twice = archive((name, bytes) => logged(name, `-${sha1(bytes)}.gz`), gzip)
    writeFileSync(join(twice, logged(names[1]!, `-${'0'.repeat(40)}.gz`)), gzip(new Uint8Array(SEGMENT_SIZE)))
    expect(() => drain(twice)).toThrow(new RegExp(`wal.duplicate: two different files hold this WAL segment, the other is .*${names[1]}`))
    for (const [ending, program, pack] of PACKERS) {
      if (ending === '' || (program !== 'true' && !has(program))) continue
      const bomb = archive((name) => `${name}${ending}`, (bytes) => pack(Buffer.concat([bytes, new Uint8Array(SEGMENT_SIZE)])))
      expect(() => drain(bomb), ending).toThrow(/^compression\.\S+: /)
    }
  })

  test('encrypted or compressed by what ltap does not read: said so', () => {
    const first = segmentNames()[0]!
    const cases: [string, Uint8Array, RegExp][] = [
      [`${first}-${'0'.repeat(40)}.gz`, Buffer.from('Salted__12345678rest'), /pgBackRest with repo-cipher-type, or openssl enc/],
      [`${first}.lz4`, Buffer.alloc(5000, 0x5a), /no lz4 content, though its name says so: encrypted \(WAL-G with libsodium/],
      [`${first}.zst`, Buffer.concat([Buffer.from([0x85, 1, 2]), Buffer.alloc(100, 7)]), /OpenPGP .*gpg -d/],
      [first, Buffer.from('age-encryption.org/v1\n'), /encrypted with age; decrypt it with age -d/],
      [`${first}.gpg`, Buffer.alloc(10), /encrypted with OpenPGP; decrypt it with gpg -d/],
      [`${first}.age`, Buffer.alloc(10), /encrypted with age/], [`${first}.lzo`, Buffer.alloc(10), /compressed with lzo, which ltap does not read/],
      [`${first}.gz.gpg`, Buffer.alloc(10), /encrypted with OpenPGP/],
    ]
    for (const program of ['openssl', 'gpg']) {
      const segment = readFileSync(join(wal, first))
      if (!has(program) && spawnSync(program, ['version']).status !== 0) continue
      if (program === 'openssl') cases.push([`${first}.gz`, pipe('openssl', ['enc', '-aes-256-cbc', '-pbkdf2', '-pass', 'pass:x'], segment), /openssl enc/])
      const gnupg = fresh()
      if (program === 'gpg') {
        const packed = spawnSync('gpg', ['--homedir', gnupg, '--batch', '--yes', '--pinentry-mode', 'loopback', '--passphrase', 'x', '-c'], { input: segment, maxBuffer: 1 << 26 })
        if (packed.status === 0) cases.push([`${first}.gz`, packed.stdout, /OpenPGP/], [first, packed.stdout, /OpenPGP/])
      }
    }
    for (const [name, bytes, message] of cases) {
      const dir = fresh()
      writeFileSync(join(dir, name), bytes)
      expect(() => openWal(dir), name).toThrow(/^archive.encrypted: the file is /)
      expect(() => openWal(dir), name).toThrow(message)
    }
  })

  test('what a folder without WAL is told', () => {
    const empty = fresh()
    expect(() => openWal(empty)).toThrow(/wal.none: no WAL segment here: the folder is empty; ltap reads a folder of segments.*pgBackRest, Barman and WAL-G/)
    writeFileSync(join(empty, 'notes.txt'), 'x')
    expect(() => openWal(empty)).toThrow(/wal.none: .*none of its 1 entries is called as a segment is, such as 000000010000000000000001/)
    writeFileSync(join(empty, '00000002.history'), '1\t0/1000000\tx\n')
    expect(() => openWal(empty)).toThrow(/wal.none: .*history files only, of 1 timelines/)
    for (const version of ['14-1', '15-2']) mkdirSync(join(empty, version))
    expect(() => openWal(empty)).toThrow(/wal.ambiguous: several archives here: .*14-1, .*15-2; name one of them/)
  })

  test('a hole says between which neighbours', () => {
    const names = segmentNames()
    const dir = archive((name) => name, (bytes) => bytes)
    rmSync(join(dir, names[1]!))
    expect(() => drain(dir)).toThrow(new RegExp(`wal.missing-segment: .*${names[0]}.*${names[2]}.*${names[1]}`))
  })

  test('an archive of 100,000 segments, 20,000 in the quick suite, is known by its names: no file is opened', () => {
    const dir = fresh()
    const name = (n: number): string => `00000001${Math.floor(n / 256).toString(16).toUpperCase().padStart(8, '0')}${(n % 256).toString(16).toUpperCase().padStart(8, '0')}`
    const count = amount({ quick: 20_000, sample: 100_000, all: 100_000 })
    // Links to nowhere: whatever opened them would fail.
    for (let log = 0; log < count / 256; log++) mkdirSync(join(dir, name(log * 256).slice(0, 16)))
    for (let n = 0; n < count; n++) symlinkSync('nowhere', join(dir, logged(name(n), `-${'0'.repeat(40)}.gz`)))
    const inventory = new WalInventory(dir)
    expect(inventory.files).toHaveLength(count)
    expect(inventory.newestTimeline).toBe(1)
    expect(inventory.numbers(inventory.timelineHistory(1), 1 << 24)).toHaveLength(count)
    rmSync(dir, { recursive: true })
  })
})

function tarball(dir: string, ...options: string[]): Uint8Array {
  return execFileSync('tar', ['-C', dir, ...options, '-cf', '-', ...readdirSync(dir)], { maxBuffer: 1 << 29 })
}

describe('backups', () => {
  let oid: string
  let space: Uint8Array
  let base: Uint8Array
  beforeAll(() => {
    oid = readdirSync(join(backup, 'pg_tblspc'))[0]!
    space = tarball(join(root, 'space'))
    base = tarball(backup)
  })

  /** Relative path to a hash of the content, of every file but ltap's own. */
  function tree(folder: string): Map<string, string> {
    const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => !name.startsWith('ltap/') && statSync(join(folder, name)).isFile())
    return new Map(names.sort().map((name) => [name, createHash('sha256').update(readFileSync(join(folder, name))).digest('hex')]))
  }

  async function seeded(source: string): Promise<Map<string, string>> {
    const out = join(root, `seeded${++folders}`)
    await seed(source, out)
    const found = tree(out)
    rmSync(out, { recursive: true })
    return found
  }

  const some = PACKERS.filter(([ending]) => ['', '.gz', '.br'].includes(ending))
  test.each(amount({ quick: some, sample: PACKERS, all: PACKERS }))('tar files%s, by their names and renamed', async (ending, program, pack) => {
    if (program !== 'true' && !has(program)) return
    const whole = await seeded(backup)
    expect(whole.size).toBeGreaterThan(100)
    const dir = fresh()
    writeFileSync(join(dir, `base.tar${ending}`), pack(base))
    writeFileSync(join(dir, `${oid}.tar${ending}`), pack(space))
    expect(await seeded(dir)).toEqual(whole)
    expect(await seeded(join(dir, `base.tar${ending}`))).toEqual(whole)
    renameSync(join(dir, `base.tar${ending}`), join(dir, `monday${ending === '.lzma' || ending === '.br' ? `.tar${ending}` : ''}`))
    writeFileSync(join(dir, `wal.tar${ending}`), pack(tarball(wal)))
    writeFileSync(join(dir, 'notes.txt'), 'no tar file')
    expect(await seeded(dir)).toEqual(whole)
    renameSync(join(dir, `${oid}.tar${ending}`), join(dir, `space.tar${ending}`))
    await expect(seeded(dir)).rejects.toThrow(new RegExp(`backup.tablespace: the tar file of tablespace ${oid} is missing; put it beside this one, under the name ${oid}.tar`))
  })

  test('tar files in pieces of split, of the data directory, a tablespace and WAL', async () => {
    const whole = await seeded(backup)
    const packed = gzip(base)
    const place = (): string => {
      const dir = fresh()
      writeFileSync(join(dir, `${oid}.tar`), space)
      return dir
    }
    const ways: readonly [name: string, options: string[], bytes: Uint8Array][] = [
      ['base.tar.gz.', ['-b', '150000'], packed], ['base.tar.', ['-d', '-a', '3', '-b', String(3 << 20)], base], ['base.tar.gz.part', ['-n', '4'], packed],
      ['base.tgz', ['--numeric-suffixes=1', '-a', '3', '-b', '300000'], packed],
      // Two letters run out: behind yz comes zaaa.
      ['base.tar.gz.', ['-b', String(Math.ceil(packed.length / 700))], packed],
    ]
    for (const [name, options, bytes] of drawn(ways, 2, 'pieces of split', ([name, options]) => `${name} ${options.join(' ')}`)) {
      const dir = place()
      writeFileSync(join(root, 'whole'), bytes)
      execFileSync('split', [...options, join(root, 'whole'), join(dir, name)])
      expect(await seeded(dir), name).toEqual(whole)
      const pieces = readdirSync(dir).filter((file) => file.startsWith(name)).sort()
      expect(pieces.length).toBeGreaterThan(3)
      // Each piece stands for the whole.
      for (const piece of [pieces[0]!, pieces[2]!]) expect(await seeded(join(dir, piece)), piece).toEqual(whole)
    }
    const dir = place()
    execFileSync('split', ['-b', '150000', '-', join(dir, 'base.tar.gz.')], { input: packed })
    const last = readdirSync(dir).filter((name) => name.startsWith('base')).sort().at(-1)!
    for (const [name, message] of [
      ['base.tar.gz.aa', /backup.pieces: a piece of the tar file is missing: the first one here is base.tar.gz.ab/],
      ['base.tar.gz.ac', /backup.pieces: .*base.tar.gz.ad does not follow base.tar.gz.ab; copy all pieces into one folder/],
      [last, /cut short|unexpected end|ends.*; these are \d+ pieces up to base.tar.gz.[a-z]+, behind which one may be missing/],
    ] as const) {
      renameSync(join(dir, name), join(root, 'aside'))
      await expect(seeded(dir), name).rejects.toThrow(message)
      renameSync(join(root, 'aside'), join(dir, name))
    }
    // A piece that is cut short, and pieces in another order: what they hold does not fit together.
    truncateSync(join(dir, 'base.tar.gz.ab'), 149_999)
    await expect(seeded(dir)).rejects.toThrow(/backup.pieces: base.tar.gz.ab, a piece of a tar file, has 149999 bytes, and the first one, base.tar.gz.aa, 150000/)
    writeFileSync(join(dir, 'base.tar.gz.ab'), readFileSync(join(dir, 'base.tar.gz.ac')))
    await expect(seeded(dir)).rejects.toThrow(/CorruptionError|compression|backup.tar/)
    // Other files whose names end in letters are no pieces.
    const plain = place()
    writeFileSync(join(plain, 'base.tar.gz'), packed)
    for (const name of ['base.tar.bak', 'base.tar.old', `${oid}.tar.orig`]) writeFileSync(join(plain, name), 'something else')
    expect(await seeded(plain)).toEqual(whole)

    const wals = fresh()
    execFileSync('split', ['-b', '100000', '-', join(wals, 'pg_wal.tar.gz.')], { input: gzip(tarball(wal)) })
    expect(readdirSync(wals).length).toBeGreaterThan(1)
    for (const given of [wals, join(wals, 'pg_wal.tar.gz.aa')]) {
      const out = join(root, `out${++folders}`)
      expect(await ltap(['replay', backup, '--wal', given, '--out', out])).toMatchObject({ code: 0, stderr: '' })
      rmSync(out, { recursive: true })
    }
  })

  test('WAL-G: parts whose names begin with a slash', async () => {
    const whole = await seeded(backup)
    const dir = fresh('base_000000010000000000000004')
    mkdirSync(join(dir, 'tar_partitions'))
    const pack = has('lz4') ? (bytes: Uint8Array) => pipe('lz4', ['-c'], bytes) : gzip
    const ending = has('lz4') ? 'lz4' : 'gz'
    const copy = fresh()
    cpSync(backup, copy, { recursive: true, verbatimSymlinks: true })
    rmSync(join(copy, 'pg_tblspc'), { recursive: true })
    mkdirSync(join(copy, 'pg_tblspc'))
    cpSync(join(root, 'space'), join(copy, 'pg_tblspc', oid), { recursive: true })
    const part = (...options: string[]): Uint8Array => pack(execFileSync('tar', ['-C', copy, '-P', '--transform', 's,^\\./,/,', '-cf', '-', ...options], { maxBuffer: 1 << 29 }))
    writeFileSync(join(dir, `tar_partitions/part_001.tar.${ending}`), part('--exclude=./global/pg_control', '--exclude=./base', '.'))
    writeFileSync(join(dir, `tar_partitions/part_003.tar.${ending}`), part('./base'))
    writeFileSync(join(dir, `tar_partitions/pg_control.tar.${ending}`), part('./global/pg_control'))
    expect(await seeded(dir)).toEqual(whole)
    expect(await seeded(join(dir, 'tar_partitions'))).toEqual(whole)
    const delta = join(dirname(dir), `${basename(dir)}_D_000000010000000000000002`)
    renameSync(dir, delta)
    await expect(seeded(delta)).rejects.toThrow(/backup.incremental: an incremental backup of WAL-G; fetch it with wal-g backup-fetch/)
  })

  test('links, twice the same file, an increment, a segment too long, other tools\' forms', async () => {
    const dir = fresh()
    const attempt = (bytes: Uint8Array, name = 'base.tar'): Promise<unknown> => {
      writeFileSync(join(dir, name), bytes)
      return seeded(dir)
    }
    const relation = { name: 'base/5/1', content: new Uint8Array(8192) }
    await expect(attempt(tarOf({ name: 'PG_VERSION', type: '2', link: '/etc/passwd' }))).rejects
      .toThrow(/UnsupportedError|backup.tar: PG_VERSION is a link, without the content; pack the backup with that \(tar -h\) \(file .*base.tar, byte 0\)/)
    for (const name of ['base', 'pg_xact', 'base/5']) await expect(attempt(tarOf({ name, type: '2', link: '/elsewhere' }))).rejects.toThrow(/backup.tar: .* is a link/)
    for (const type of ['1', '3', '4', '6']) await expect(attempt(tarOf({ name: 'base/5/1', type }))).rejects.toThrow(/backup.tar: base\/5\/1 is a/)
    await expect(attempt(tarOf(relation, relation))).rejects.toThrow(/backup.tar: the tar file has two entries named base\/5\/1 \(.*byte 8704\)/)
    await expect(attempt(tarOf({ ...relation, content: Buffer.concat([Buffer.from('wi1\x55'), new Uint8Array(8192)]) }))).rejects.toThrow(/backup.incremental: .*WAL-G/)
    await expect(attempt(tarOf(pax(['size', String(2 ** 30 + 8192)]), relation))).rejects.toThrow(/more than a segment of a relation/)
    rmSync(join(dir, 'base.tar'))
    writeFileSync(join(dir, 'backup.manifest'), '[backrest]\n')
    await expect(seeded(dir)).rejects.toThrow(/backup.pgbackrest: .*pgbackrest restore/)
    rmSync(join(dir, 'backup.manifest'))
    for (const name of ['one.tar', 'two.tar']) writeFileSync(join(dir, name), base)
    await expect(seeded(dir)).rejects.toThrow(/backup.ambiguous: several tar files here hold a data directory: one.tar, two.tar; name one of them/)
    for (const name of ['one.tar', 'two.tar']) rmSync(join(dir, name))
    writeFileSync(join(dir, 'base.tar.gz'), Buffer.from('Salted__12345678rest'))
    await expect(seeded(dir)).rejects.toThrow(/archive.encrypted: .*openssl/)
  })
})

test.skipIf(DEBIAN === undefined || spawnSync('pgbackrest', ['version']).status !== 0)('the archive that pgBackRest makes, in each of its compressions', async () => {
  await withCluster(15, { binDir: DEBIAN!, settings: { wal_keep_size: '100MB', archive_mode: 'on', archive_command: 'true' } }, async (cluster, sql) => {
    const repo = await cluster.makeDir('repo')
    await sql.script('CREATE TABLE t AS SELECT i FROM generate_series(1, 20000) i; SELECT pg_switch_wal(); INSERT INTO t VALUES (1); SELECT pg_switch_wal(); CHECKPOINT')
    /** In a file options may be of any command. */
    const options = (type: string): string[] => {
      const file = join(repo, `${type}.conf`)
      writeFileSync(file, `[global]\nrepo1-path=${join(repo, type)}\nlock-path=${join(repo, 'lock')}\nlog-path=${repo}\nlog-level-file=off
log-level-console=error\ncompress-type=${type}\n[s]\npg1-path=${cluster.dataDir}\npg1-socket-path=${cluster.socketDir}\npg1-port=${cluster.port}\npg1-user=postgres\n`)
      return [`--config=${file}`, '--stanza=s']
    }
    const names = readdirSync(join(cluster.dataDir, 'pg_wal')).filter((name) => /^[0-9A-F]{24}$/.test(name)).sort().slice(0, 2)
    const whole = fresh()
    for (const name of names) cpSync(join(cluster.dataDir, 'pg_wal', name), join(whole, name))
    for (const type of ['none', 'gz', 'lz4', 'zst', 'bz2']) {
      execFileSync('pgbackrest', [...options(type), 'stanza-create'], { stdio: 'inherit' })
      for (const name of names) execFileSync('pgbackrest', [...options(type), 'archive-push', join(cluster.dataDir, 'pg_wal', name)], { stdio: 'inherit' })
      const archived = join(repo, type, 'archive/s')
      expect(readdirSync(archived), type).toContain('15-1')
      expect(drain(archived), type).toEqual(drain(whole))
      expect(drain(join(archived, '15-1'))).toEqual(drain(whole))
    }
  })
})
