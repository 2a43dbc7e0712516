// node bench/run.mjs [decode|transcode|rebuild|workers|sizes|wal|redo|pagestore|plan|layers|commits|relations]... [--json]
// Compiles bench/ and src/ as they are into .tmp/bench, then runs bench/main.ts from there.
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const out = join(root, '.tmp', 'bench')
rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })
copyFileSync(join(root, 'package.json'), join(out, 'package.json'))
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc')
run(tsc, '-p', join(import.meta.dirname, 'tsconfig.json'))
run(join(out, 'bench', 'main.js'), ...process.argv.slice(2))

function run(...args) {
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
