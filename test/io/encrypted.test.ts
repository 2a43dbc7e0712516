/** Encrypted tar files, whole and in pieces, by the programs themselves where they are installed, are named as such: nobody looks for damage in them. */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { UnsupportedError } from '../../src/common/errors.ts'
import { seed } from '../../src/io/seed/seed.ts'
import { ltap } from '../cli/streams.ts'
import { closeSessions, majors, withCluster } from '../support/oracle.ts'

const PIECE = 400_000
let root: string
let backup: string
let oid: string
let base: Uint8Array
let space: Uint8Array
let wal: Uint8Array
let folders = 0

const fresh = (): string => {
  const dir = join(root, `d${++folders}`)
  mkdirSync(dir, { mode: 0o700 })
  return dir
}
const has = (program: string, argument = '--version'): boolean => spawnSync(program, [argument], { stdio: 'ignore' }).status === 0
const gzip = (bytes: Uint8Array): Uint8Array => gzipSync(bytes, { level: 1 })
const tarball = (folder: string, ...options: string[]): Uint8Array => execFileSync('tar', ['-C', folder, ...options, '-cf', '-', '.'], { maxBuffer: 1 << 29 })

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'ltap-encrypted-'))
  backup = join(root, 'backup')
  const major = Math.max(...majors())
  await withCluster(major, { initdbArgs: ['--wal-segsize=1'] }, async (cluster, sql) => {
    await sql.script(`CREATE TABLESPACE space LOCATION '${await cluster.makeDir('space')}'; CREATE TABLE s TABLESPACE space AS SELECT 1 a`)
    const [begin, stop] = major === 14 ? ["pg_start_backup('b', true, false)", 'pg_stop_backup(false, false)'] : ["pg_backup_start('b', true)", 'pg_backup_stop(false)']
    await sql.exec(`SELECT ${begin}`)
    const [row] = await sql.rows(`SELECT * FROM ${stop}`)
    await closeSessions(cluster)
    await cluster.stop()
    await cluster.copyDataDir(backup)
    writeFileSync(join(backup, 'backup_label'), row![1]!)
    oid = readdirSync(join(backup, 'pg_tblspc'))[0]!
    // Where the copy can find it after the server is gone.
    writeFileSync(join(backup, 'tablespace_map'), `${oid} ${backup}.tblspc/${oid}\n`)
    space = tarball(join(backup, 'pg_tblspc', oid, '/'))
    base = tarball(backup, '--exclude=./pg_wal/0*', '--exclude=./pg_tblspc/*')
    wal = tarball(join(backup, 'pg_wal'), '--exclude=./archive_status', '--exclude=./summaries')
  })
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

/** Relative path to a hash of the content, of every file but ltap's own. */
async function seeded(source: string): Promise<Map<string, string>> {
  const out = join(root, `seeded${++folders}`)
  await seed(source, out)
  const names = readdirSync(out, { recursive: true, encoding: 'utf8' }).filter((name) => !/^(?:ltap|pg_wal)\//.test(name) && statSync(join(out, name)).isFile())
  const found = new Map(names.sort().map((name) => [name, createHash('sha256').update(readFileSync(join(out, name))).digest('hex')]))
  rmSync(out, { recursive: true })
  return found
}

/** Encrypted by the program itself where it is installed; else, with what its format begins with. */
function encryptedBy(kind: 'age' | 'gpg' | 'openssl' | 'libsodium', bytes: Uint8Array): Uint8Array {
  if (kind === 'openssl') {
    return has('openssl', 'version')
      ? execFileSync('openssl', ['enc', '-aes-256-cbc', '-pbkdf2', '-pass', 'pass:x'], { input: bytes, maxBuffer: 1 << 28 })
      : Buffer.concat([Buffer.from('Salted__'), randomBytes(bytes.length)])
  }
  if (kind === 'age') return Buffer.concat([Buffer.from('age-encryption.org/v1\n-> X25519 abc\n--- def\n'), randomBytes(bytes.length)])
  // A header of 24 random bytes, then chunks: nothing in it is the same twice. It begins with no byte that says something, as most do.
  if (kind === 'libsodium') return Buffer.concat([Buffer.of(0x5a), randomBytes(bytes.length)])
  const args = ['--homedir', fresh(), '--batch', '--yes', '--pinentry-mode', 'loopback', '--passphrase', 'x', '--compress-algo', 'none', '-c']
  const packed = has('gpg') ? spawnSync('gpg', args, { input: bytes, maxBuffer: 1 << 28 }) : undefined
  return packed?.status === 0 ? packed.stdout : Buffer.concat([Buffer.of(0x8c, 0x0d, 4, 9, 3), randomBytes(bytes.length)])
}

test('encrypted tar files are named as such: whole, in pieces, of the data directory, a tablespace and WAL', async () => {
  const packed = gzip(base)
  const refused: [files: Record<string, Uint8Array>, of: string, message: RegExp][] = []
  const [gpg, age, openssl, libsodium] = (['gpg', 'age', 'openssl', 'libsodium'] as const).map((kind) => encryptedBy(kind, packed))
  refused.push(
    [{ 'base.tar.gz.gpg': gpg! }, 'base.tar.gz.gpg', /OpenPGP.*; decrypt it with gpg -d/], [{ 'base.tar.gpg': gpg! }, 'base.tar.gpg', /OpenPGP/],
    [{ 'base.tar.gz': gpg! }, 'base.tar.gz', /OpenPGP/], [{ 'base.tar': gpg! }, 'base.tar', /OpenPGP/], [{ monday: gpg! }, 'monday', /OpenPGP/],
    [{ 'base.tar.gz.age': age! }, 'base.tar.gz.age', /encrypted with age; decrypt it with age -d/], [{ 'base.tar.lz4': age! }, 'base.tar.lz4', /encrypted with age/],
    [{ 'base.tar.gz.enc': openssl! }, 'base.tar.gz.enc', /openssl enc\)/], [{ 'base.tgz': openssl! }, 'base.tgz', /openssl enc\)/],
    // The content says more than the name.
    [{ 'base.tar.gz.gpg': openssl! }, 'base.tar.gz.gpg', /openssl enc\)/],
    [{ 'base.tar.gz.gpg': Buffer.alloc(600, 'x') }, 'base.tar.gz.gpg', /encrypted with OpenPGP; decrypt it with gpg -d/],
    [{ 'base.tar.gz': libsodium! }, 'base.tar.gz', /no gz content, though its name says so: encrypted \(WAL-G with libsodium leaves no mark\), or damaged/],
    [{ 'base.tar': base, [`${oid}.tar.gz.gpg`]: gpg! }, `${oid}.tar.gz.gpg`, /OpenPGP/],
    [{ 'base.tar': base, [`${oid}.tar`]: space, 'pg_wal.tar.gz.age': age! }, 'pg_wal.tar.gz.age', /encrypted with age/],
  )
  for (const [kind, bytes, name, message] of [
    ['gpg', gpg!, 'base.tar.gz.gpg', /OpenPGP/], ['age', age!, 'base.tar.gz.age', /encrypted with age/], ['openssl', openssl!, 'base.tar.gz.enc', /openssl enc\)/],
    ['openssl', openssl!, 'base.tar.gz', /openssl enc\)/], ['gpg', gpg!, 'monday.gpg', /OpenPGP/], ['libsodium', libsodium!, 'base.tar.gz', /WAL-G with libsodium/],
  ] as const) {
    const files: Record<string, Uint8Array> = {}
    for (let i = 0; i * PIECE < bytes.length; i++) files[`${name}.a${String.fromCharCode(97 + i)}`] = bytes.subarray(i * PIECE, (i + 1) * PIECE)
    expect(Object.keys(files).length, kind).toBeGreaterThan(2)
    refused.push([files, `${name}.aa`, message])
  }
  for (const [files, of, message] of refused) {
    const dir = fresh()
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(dir, name), bytes)
    for (const source of of.startsWith('base') || of.startsWith('monday') ? [dir, join(dir, of)] : [dir]) {
      const { code, reason, position } = await seeded(source).then(() => expect.fail(`${of} was read`), (error: unknown) => error) as UnsupportedError
      expect({ code, position }, of).toEqual({ code: 'archive.encrypted', position: { file: join(dir, of) } })
      expect(reason).toMatch(message)
    }
  }

  // brotli and lzma have no mark either: what is wrong is found in the content, and both are said.
  for (const name of ['base.tar.br', 'base.tar.lzma', 'base.tar']) {
    const dir = fresh()
    writeFileSync(join(dir, name), libsodium!)
    await expect(seeded(dir), name).rejects.toThrow(/it is damaged, or encrypted \(WAL-G with libsodium leaves no mark\)/)
  }
  for (const [name, message] of [['pg_wal.tar.gz.gpg', /OpenPGP/], ['pg_wal.tar.gz.gpg.aa', /OpenPGP/], ['pg_wal.tar.gz', /OpenPGP/], ['pg_wal.tgz.aa', /OpenPGP/]] as const) {
    const wals = fresh()
    writeFileSync(join(wals, name), encryptedBy('gpg', gzip(wal)))
    for (const given of [wals, join(wals, name)]) {
      const { code, stderr } = await ltap(['replay', backup, '--wal', given, '--out', join(root, 'never')])
      expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringMatching(new RegExp(`^ltap: archive.encrypted: .*${message.source}.*\\(file ${join(wals, name)}\\)\n$`)) as string })
    }
  }

  // Beside its plain file, or only called so: no harm.
  const whole = await seeded(backup)
  const dir = fresh()
  for (const [name, bytes] of [['base.tar', base], ['base.tar.gpg', gpg!], [`${oid}.tar.gz`, gzip(space)], [`${oid}.tar.gz.age`, age!], ['notes.gpg', gpg!]] as const) {
    writeFileSync(join(dir, name), bytes)
  }
  expect(await seeded(dir)).toEqual(whole)
  renameSync(join(dir, 'base.tar'), join(dir, 'base.tar.gpg'))
  expect(await seeded(dir)).toEqual(whole)
})
