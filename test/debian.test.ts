import { expect, test } from 'vitest'

type ArchivesOf = (setting: string | undefined, targets: () => string) => { main: string | undefined; security: string | undefined }
const { archivesOf } = await import(String(new URL('postgres/debian.mjs', import.meta.url))) as { archivesOf: ArchivesOf }

/** As `apt-get indextargets` prints labels and addresses. */
const TARGETS = [
  'Node Source|http://example.com/node/', 'Debian|http://example.com/debian/', 'Debian|http://example.org/other/', 'Debian-Security|http://example.com/security/',
].join('\n')

test('the archives that apt uses', () => {
  expect(archivesOf(undefined, () => TARGETS)).toEqual({ main: 'http://example.com/debian', security: 'http://example.com/security' })
})

test('LTAP_DEBIAN_MIRROR goes first; its second address is the security archive', () => {
  expect(archivesOf('http://example.net/a/ http://example.net/b', () => TARGETS)).toEqual({ main: 'http://example.net/a', security: 'http://example.net/b' })
  expect(archivesOf('http://example.net/a', () => TARGETS)).toEqual({ main: 'http://example.net/a', security: undefined })
})

test('none without apt, on another system, or from a file', () => {
  const none = { main: undefined, security: undefined }
  expect(archivesOf(undefined, () => { throw new Error('spawn apt-get ENOENT') })).toEqual(none)
  expect(archivesOf(' ', () => 'Ubuntu|http://example.com/ubuntu/\nDebian|file:/media/\n')).toEqual(none)
})
