import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { compile, withInstalled } from '../support/installed.ts'

/** What a consumer gets: the tarball, installed into an empty folder, imported floor by floor. */
const ROOT = resolve(import.meta.dirname, '../..')
const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  name: string
  version: string
  exports: Record<string, unknown>
  dependencies: Record<string, string>
}

test('dependencies are pinned', () => {
  for (const [name, version] of Object.entries(manifest.dependencies)) expect(version, name).toMatch(/^\d+\.\d+\.\d+$/)
})

test('the tarball installs into an empty folder and imports', () => withInstalled((folder) => {
  const installed = readdirSync(join(folder, 'node_modules'))
  expect(installed.filter((name) => /^pg\d|duckdb|embedded/.test(name))).toEqual([])
  const floors = Object.keys(manifest.exports).filter((name) => !name.endsWith('.json')).map((name) => name.replace('.', manifest.name))
  writeFileSync(join(folder, 'use.js'), floors.map((name, i) => `import * as m${i} from '${name}'\nconsole.log('${name}', Object.keys(m${i}).length > 0)`).join('\n'))
  const printed = execFileSync(process.execPath, ['use.js'], { cwd: folder, encoding: 'utf8' }).trim().split('\n')
  expect(printed).toEqual(floors.map((name) => `${name} true`))
  const published = JSON.parse(readFileSync(join(folder, 'node_modules/ltap/package.json'), 'utf8')) as Record<string, unknown>
  expect(['scripts', 'devDependencies', 'workspaces', 'overrides'].filter((name) => name in published)).toEqual([])
  expect(published).toMatchObject({ dependencies: manifest.dependencies, exports: manifest.exports })
  expect(existsSync(join(folder, 'node_modules/ltap/README.md'))).toBe(true)
  expect(compileFloors(folder, floors)).toBe('')
  const version = execFileSync(join(folder, 'node_modules/.bin/ltap'), ['--version'], { encoding: 'utf8' })
  expect(version).toContain(manifest.version)
}))

/** A program that names the types of every floor, as strict as TypeScript can be. @returns what the compiler says of the package's declarations, empty if nothing */
function compileFloors(folder: string, floors: readonly string[]): string {
  const project = join(folder, 'floors')
  cpSync(join(import.meta.dirname, 'consumer/tsconfig.json'), join(project, 'base.json'))
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ extends: './base.json', files: ['floors.ts'] }))
  writeFileSync(join(project, 'floors.ts'), floors.map((name, i) => `import type * as m${i} from '${name}'\nexport type M${i} = typeof m${i}`).join('\n'))
  return compile(project)
}
