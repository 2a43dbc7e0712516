import { InvalidArgumentError } from 'commander'

/** `year,status` or `"a,b"`: names of columns, letter for letter; one with a comma or a quote stands in double quotes. */
export function columnNames(text: string): string[] {
  const names = [...text.matchAll(/\s*(?:"((?:[^"]|"")+)"|([^",]+))\s*(?:,|$)/gy)]
  if (names.length === 0 || names.reduce((sum, [all]) => sum + all.length, 0) !== text.length || text.endsWith(',')) {
    throw new InvalidArgumentError('write names of columns with commas between: year,status; a name with a comma in double quotes.')
  }
  return names.map(([, quoted, plain = '']) => quoted?.replaceAll('""', '"') ?? plain.trim())
}
