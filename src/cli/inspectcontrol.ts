import type { Command } from 'commander'
import { readControlItems } from '../jobs/inspect/controltext.ts'
import { factLines } from './count.ts'
import { addVerb, begin, type Run } from './verb.ts'

const TEXT = {
  summary: "print pg_control as pg_controldata does, of a running or crashed server's directory too",
  examples: ['ltap inspect control ./data', `ltap inspect control ./data --json | jq -r '."Latest checkpoint location"'`],
}

/** `ltap inspect control`. */
export function addInspectControl(inspect: Command, run: Run): void {
  addVerb(inspect, 'control <pgdata>', TEXT).action(async (pgdata: string, options: { json?: boolean; verbose?: boolean }) => {
    const output = begin(run, options)
    const items = readControlItems(pgdata)
    await output.result(items, () => factLines(Object.entries(items)).replace(/^ {2}/gm, ''))
  })
}
