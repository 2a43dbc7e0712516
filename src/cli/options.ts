import { type Command, InvalidArgumentError } from 'commander'

/** For options that may be given several times. */
export function collect(value: string, previous: readonly string[]): string[] {
  return [...previous, value]
}

/** `--table schema.name`. */
export function collectTable(value: string, previous: readonly string[]): string[] {
  return collect(parseTable(value), previous)
}

/** `--exclude`, of every verb that has it. */
export function addExcludeOption(command: Command): Command {
  return command.option('--exclude <pattern>', 'leave out tables and their TOAST relations; * and ? as in psql, schema.name or name (repeatable)', collect, [])
}

/** `--codecs`, of every verb that reads or writes values. */
export function addCodecsOption(command: Command): Command {
  return command.option('--codecs <module>', 'a JavaScript module with codecs for types that ltap does not know; it is run (repeatable)', collect, [])
}

/** `--limit`, of every verb that prints rows. */
export function addLimitOption(command: Command): Command {
  return command.option('--limit <count>', 'print at most this many rows', parseLimit)
}

export function parseTable(text: string): string {
  if (!/^.+\..+$/s.test(text)) throw new InvalidArgumentError('write it as schema.name.')
  return text
}

export function parseWorkers(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text)) throw new InvalidArgumentError('a number from 1 to 999 is needed.')
  return Number(text)
}

function parseLimit(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('a number of rows is needed.')
  return Number(text)
}
