/**
 * The public face changes on purpose only: face.txt has what each entry exports, as the compiler declares it. To rewrite it:
 * `npx vitest run test/package/face.test.ts -u`, and add the change to CHANGELOG.md.
 */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Face, packageEntries, readFace, sourceDeclarations } from '../support/face.ts'

const face = readFace(sourceDeclarations(), packageEntries())

function textOf({ entry, exports }: Face): string {
  return `## ${entry}\n\n${exports.map(({ name, text }) => `${name}: ${text}\n`).join('')}`
}

test('what each entry exports', async () => {
  await expect(face.map(textOf).join('\n')).toMatchFileSnapshot(join(import.meta.dirname, 'face.txt'))
})

test('no type is named that no entry exports', () => {
  expect(face.flatMap(({ entry, exports }) => exports.filter(({ hidden }) => hidden.length > 0).map(({ name, hidden }) => `${entry} ${name}: ${hidden.join(', ')}`))).toEqual([])
})

test('planted faults are found', () => {
  const declarations = new Map([
    ['/a.ts', 'interface Hidden { x: number }\nexport interface Shown<T> { h: Hidden; t: T; s: Shown<T>; n: Named }\nexport interface Named { a: 1 }\nexport declare class C extends Base { private p; }\ndeclare class Base {}'],
    ['/index.ts', "export { type Shown, C } from './a.ts'\nexport type { Named as Other } from './a.ts'"],
  ])
  const [found] = readFace(declarations, new Map([['a', '/index.ts']]))
  expect(found!.exports.map(({ name, hidden }) => [name, hidden])).toEqual([['C', ['Base']], ['Other', []], ['Shown', ['Hidden']]])
})
