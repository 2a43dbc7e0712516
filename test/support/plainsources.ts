/**
 * Tests run `src` as plain JavaScript that Node loads by itself: no process of a run transforms it, no import of it is a call. A vite plugin sends imports
 * of `src` to files that hold the same text without its types:
 *
 *     node_modules/.ltap-test/<of this folder>/package.json
 *                                             /src/common/bytes.mjs      of src/common/bytes.ts
 */
import { transform } from 'esbuild'
import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Plugin } from 'vitest/config'

const ROOT = resolve(import.meta.dirname, '../..')
const SOURCES = join(ROOT, 'src')

/** Writes the files, and returns the plugin. */
export async function plainSources(): Promise<Plugin> {
  // node_modules can be one folder of several copies of the repository.
  const folder = join(ROOT, 'node_modules/.ltap-test', createHash('sha256').update(ROOT).digest('hex').slice(0, 8))
  const plain = join(folder, 'src')
  const names = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  const outputs = new Map(await Promise.all(names.map(async (name) => [plainName(name), await withoutTypes(join(SOURCES, name))] as const)))
  for (const [name, text] of outputs) writeIfChanged(join(plain, name), text)
  for (const name of readdirSync(plain, { recursive: true, encoding: 'utf8' })) if (name.endsWith('.mjs') && !outputs.has(name)) rmSync(join(plain, name))
  copyFileSync(join(ROOT, 'package.json'), join(folder, 'package.json'))
  return {
    name: 'ltap-plain-sources',
    enforce: 'pre',
    resolveId(source, importer) {
      if (!source.startsWith('.') || !source.endsWith('.ts') || importer === undefined) return undefined
      const path = resolve(dirname(importer), source)
      return path.startsWith(`${SOURCES}/`) ? join(plain, plainName(path.slice(SOURCES.length + 1))) : undefined
    },
  }
}

const plainName = (name: string): string => name.replace(/\.ts$/, '.mjs')

async function withoutTypes(path: string): Promise<string> {
  const { code } = await transform(readFileSync(path, 'utf8'), {
    loader: 'ts', format: 'esm', sourcemap: 'inline', sourcesContent: false, target: 'es2023', sourcefile: path, tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  })
  return code.replace(/\b(from |import |import\()"(\.\.?\/[^"\n]*)\.ts"/g, '$1"$2.mjs"')
}

/** Another run may read it at the same time. */
function writeIfChanged(path: string, text: string): void {
  if (textOf(path) === text) return
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(`${path}.${process.pid}`, text)
  renameSync(`${path}.${process.pid}`, path)
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
