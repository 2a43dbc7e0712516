/**
 * Makes the tarball that is published: `npm run pack -- <folder>`. Its package.json has nothing of the checkout: no devDependencies,
 * workspaces, overrides or scripts. npm 11 warns of some, and a consumer needs none.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = resolve(import.meta.dirname, '../..')
const OF_CHECKOUT = ['devDependencies', 'workspaces', 'overrides', 'scripts']
/** npm takes them whatever `files` says. */
const ALWAYS = ['README.md', 'LICENSE']

/** Packs what is built in dist. @returns the path of the tarball */
export function pack(destination) {
  if (!existsSync(join(ROOT, 'dist'))) throw new Error('nothing is built: npm run build')
  const folder = mkdtempSync(join(tmpdir(), 'ltap-pack-'))
  try {
    const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    const kept = Object.fromEntries(Object.entries(manifest).filter(([name]) => !OF_CHECKOUT.includes(name)))
    writeFileSync(join(folder, 'package.json'), `${JSON.stringify(kept, null, 2)}\n`)
    const names = [...manifest.files, ...ALWAYS].filter((name) => !name.startsWith('!') && existsSync(join(ROOT, name)))
    for (const name of names) cpSync(join(ROOT, name), join(folder, name), { recursive: true })
    mkdirSync(destination, { recursive: true })
    const [{ filename }] = JSON.parse(execFileSync('npm', ['pack', '--json', '--pack-destination', resolve(destination)], { cwd: folder, encoding: 'utf8' }))
    return join(destination, filename)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(pack(process.argv[2] ?? '.'))
