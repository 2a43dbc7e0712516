/**
 * Postgres servers of Debian suites, with pg_waldump and the other programs: newer minor versions than npm has. A server is unpacked with its
 * libraries and their dynamic linker into a folder; nothing is installed. It takes Linux x64 with dpkg-deb and xz, and an archive of Debian: the one
 * that apt of this system uses, or LTAP_DEBIAN_MIRROR="<address of the archive> <address of its security archive>".
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What a server does without: it is set up by hand here, or there for just-in-time compilation. */
const LEFT_OUT = /^(postgresql-common|postgresql-client-common|locales|locales-all|ssl-cert|tzdata|debconf|libllvm\d+|perl.*|adduser|init-system-helpers|libjson-perl)$/

/** Unpacks Postgres `major` of a suite (trixie, sid) into `folder`. @returns the folder of its programs */
export async function unpackPostgres(suite, major, folder) {
  const binDir = join(folder, 'usr/lib/postgresql', String(major), 'bin')
  const done = join(folder, 'unpacked')
  if (existsSync(done)) return binDir
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  const packages = await readIndexes(suite)
  for (const name of closure(packages, `postgresql-${major}`)) await unpack(packages.get(name), folder)
  wrapPrograms(binDir, folder)
  writeFileSync(done, '')
  return binDir
}

/** Packages by name; those of the security archive replace older ones. */
async function readIndexes(suite) {
  const { main, security } = findArchives()
  if (security === undefined && suite !== 'sid') console.error(`SKIPPED: no security archive of Debian is known, so ${suite} may be older than its newest`)
  const archives = [[main, suite], ...(suite === 'sid' || security === undefined ? [] : [[security, `${suite}-security`]])]
  const packages = new Map()
  for (const [base, name] of archives) {
    const compressed = await download(`${base}/dists/${name}/main/binary-amd64/Packages.xz`)
    const text = execFileSync('xz', ['-dc'], { input: compressed, maxBuffer: 2 ** 30 }).toString()
    for (const paragraph of text.split('\n\n')) {
      const fields = Object.fromEntries(paragraph.split('\n').map((line) => /^([A-Za-z0-9-]+): (.*)$/.exec(line)?.slice(1)).filter(Boolean))
      if (fields.Package !== undefined) packages.set(fields.Package, { ...fields, base })
    }
  }
  return packages
}

/**
 * Addresses of Debian's archive and of its security archive: those of LTAP_DEBIAN_MIRROR (one or two, with a space between them), else those that apt
 * of this system uses.
 */
function findArchives() {
  const targets = () => execFileSync('apt-get', ['indextargets', '--format', TARGET_FORMAT, 'Created-By: Packages'], { encoding: 'utf8' })
  const { main, security } = archivesOf(process.env.LTAP_DEBIAN_MIRROR, targets)
  if (main !== undefined) return { main, security }
  throw new Error('no archive of Debian is known: apt-get indextargets of this system names none, and LTAP_DEBIAN_MIRROR is not set to the address of one')
}

const TARGET_FORMAT = '$(LABEL)|$(REPO_URI)'

/** @param targets gives lines of {@link TARGET_FORMAT}, or fails where there is no apt */
export function archivesOf(setting, targets) {
  const bare = (address) => address?.replace(/\/+$/, '')
  if (setting?.trim()) {
    const [main, security] = setting.trim().split(/\s+/)
    return { main: bare(main), security: bare(security) }
  }
  let lines = []
  try {
    lines = targets().split('\n').map((line) => line.split('|'))
  } catch {
    // No apt here.
  }
  const labelled = (name) => bare(lines.find(([label, address]) => label === name && /^https?:/.test(address))?.[1])
  return { main: labelled('Debian'), security: labelled('Debian-Security') }
}

/** The package with all that it depends on; of alternatives the first that there is. */
function closure(packages, first) {
  const wanted = new Set([first])
  for (const name of wanted) {
    const { Depends = '', 'Pre-Depends': before = '' } = packages.get(name)
    for (const dependency of `${Depends},${before}`.split(',').filter((text) => text.trim() !== '')) {
      const names = dependency.split('|').map((text) => text.trim().split(/[ :(]/)[0])
      const found = names.find((known) => packages.has(known))
      if (found !== undefined && !LEFT_OUT.test(found)) wanted.add(found)
    }
  }
  return wanted
}

async function unpack({ Package: name, Filename: path, SHA256: sum, Version: version, base }, folder) {
  const bytes = await download(`${base}/${path}`)
  if (createHash('sha256').update(bytes).digest('hex') !== sum) throw new Error(`${path}: not the bytes that the index tells`)
  const file = join(folder, `${name}.deb`)
  writeFileSync(file, bytes)
  execFileSync('dpkg-deb', ['-x', file, folder])
  rmSync(file)
  console.error(`  ${name} ${version}`)
}

async function download(url) {
  const answer = await fetch(url)
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`)
  return Buffer.from(await answer.arrayBuffer())
}

/** Each program by way of the linker that its libraries were built for. */
function wrapPrograms(binDir, folder) {
  const libraries = ['usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'].map((path) => join(folder, path)).filter((path) => existsSync(path))
  const linker = libraries.map((path) => join(path, 'ld-linux-x86-64.so.2')).find((path) => existsSync(path))
  for (const name of readdirSync(binDir)) {
    const program = join(binDir, name)
    if (!readFileSync(program).subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'))) continue
    renameSync(program, `${program}.real`)
    writeFileSync(program, `#!/bin/sh\nexec "${linker}" --argv0 "$0" --library-path "${libraries.join(':')}" "${program}.real" "$@"\n`)
    chmodSync(program, 0o755)
  }
}
