/**
 * Runs each benchmark in a process of its own, one after the other, and prints what they found as a table, or as JSON with --json.
 * --table=NAME narrows decode, transcode and rebuild to one table.
 */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { benchDataDir, benchSize } from './data.ts'
import { formatResults, type Result } from './report.ts'

const NAMES = ['decode', 'transcode', 'rebuild', 'workers', 'sizes', 'wal', 'redo', 'pagestore', 'plan', 'layers', 'commits', 'relations']

async function main(): Promise<void> {
  const args = process.argv.slice(2)
  const json = args.includes('--json')
  const chosen = args.filter((arg) => !arg.startsWith('--'))
  const table = args.find((arg) => arg.startsWith('--table='))?.slice('--table='.length)
  const names = chosen.length > 0 ? chosen : NAMES
  await benchDataDir(benchSize())
  const results: Result[] = []
  for (const name of names) results.push(...(await runBench(name, table)))
  const machine = { size: benchSize(), node: process.version, cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length }
  if (json) process.stdout.write(`${JSON.stringify({ ...machine, results }, undefined, 1)}\n`)
  else process.stdout.write(`\n${formatResults(results)}\n\n${machine.size} tables, Node ${machine.node}, ${machine.cores} x ${machine.cpu}\n`)
}

function progress(result: Result): string {
  if (result.kind === 'latency') return `${result.table}, ${result.variant}: p99 ${result.ours.p99.toFixed(1)} ms; ${result.peerName} ${result.peer.p99.toFixed(1)} ms`
  if (result.kind === 'cost') return `${result.table}, ${result.variant}: ${result.ours} ${result.unit}; ${result.peerName} ${result.peer}`
  const found = result.kind === 'speed' ? `${result.ratio.toFixed(2)} x ${result.peerName}` : `${(result.heapBytes / result.fileBytes).toFixed(2)} times smaller`
  return `${result.table}, ${result.variant}: ${found}`
}

async function runBench(name: string, table: string | undefined): Promise<Result[]> {
  const script = join(import.meta.dirname, `${name}.bench.js`)
  if (!existsSync(script)) throw new Error(`no benchmark '${name}'; there are ${NAMES.join(', ')}`)
  process.stderr.write(`${name}\n`)
  const env = { ...process.env, ...(table !== undefined && { LTAP_BENCH_TABLE: table }) }
  const child = spawn(process.execPath, [...process.execArgv, script], { stdio: ['ignore', 'pipe', 'inherit'], env })
  const ended = new Promise<number | null>((resolve, reject) => child.once('close', resolve).once('error', reject))
  const results: Result[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    const result = JSON.parse(line) as Result
    process.stderr.write(`  ${progress(result)}\n`)
    results.push(result)
  }
  const code = await ended
  if (code !== 0) throw new Error(`${name} ended with ${code}`)
  return results
}

await main()
