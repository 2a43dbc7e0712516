/** The package as a user has it: packed, and installed into an empty folder. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pack } from '../package/pack.mjs'

const ROOT = resolve(import.meta.dirname, '../..')

/** Runs `body` with a folder that has the package in its node_modules; what was built last is what is packed. */
export async function withInstalled<T>(body: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'ltap-package-'))
  try {
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
    symlinkSync(join(install(), 'node_modules'), join(folder, 'node_modules'))
    return await body(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Packs and installs what is built, once for each run of the tests. @returns a folder whose node_modules nobody may write */
function install(): string {
  // The folder of the run (globalsetup.ts).
  const run = process.env['LTAP_TEST_TEMPLATES']!
  const installed = join(run, 'installed')
  if (existsSync(installed)) return installed
  const folder = mkdtempSync(join(run, 'installing-'))
  const tarball = pack(folder)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--silent', tarball], { cwd: folder })
  try {
    renameSync(folder, installed)
  } catch (error) {
    // Another process of the run was faster.
    if (!existsSync(installed)) throw error
  }
  return installed
}

/** Compiles a TypeScript project in the folder, with this repository's compiler and types of Node. @returns what the compiler says, empty if nothing */
export function compile(project: string): string {
  try {
    return execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', project, '--typeRoots', join(ROOT, 'node_modules/@types')], {
      encoding: 'utf8',
    })
  } catch (error) {
    return (error as { stdout: string }).stdout
  }
}
