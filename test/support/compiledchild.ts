/** A child process of plain Node, to be killed: it needs JavaScript. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

const REPOSITORY = resolve(import.meta.dirname, '../..')

/**
 * Compiles files of the repository, and what they import, below `root`.
 * @param script JavaScript that imports them as `./src/….js`. @returns its path
 */
export function compileChild(root: string, files: readonly string[], script: string): string {
  const out = join(root, 'js')
  const config = {
    extends: join(REPOSITORY, 'tsconfig.json'),
    compilerOptions: { noEmit: false, outDir: out, rootDir: REPOSITORY, typeRoots: [join(REPOSITORY, 'node_modules/@types')] },
    include: [join(REPOSITORY, 'types')], files: files.map((name) => join(REPOSITORY, name)),
  }
  mkdirSync(out)
  writeFileSync(join(root, 'tsconfig.json'), JSON.stringify(config))
  writeFileSync(join(out, 'package.json'), '{"type":"module"}')
  symlinkSync(join(REPOSITORY, 'node_modules'), join(out, 'node_modules'))
  execFileSync(join(REPOSITORY, 'node_modules/.bin/tsc'), ['-p', join(root, 'tsconfig.json')], { stdio: 'inherit' })
  const child = join(out, 'child.js')
  writeFileSync(child, script)
  return child
}
