/** The package as a user has it: packed, and installed into an empty folder. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pack } from '../package/pack.mjs'

const ROOT = resolve(import.meta.dirname, '../..')

/** Runs `body` with a folder that has the package in its node_modules; what was built last is what is packed. */
export async function withInstalled<T>(body: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'ltap-package-'))
  try {
    const tarball = pack(folder)
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }))
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--silent', tarball], { cwd: folder })
    return await body(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
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
