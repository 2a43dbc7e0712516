/** A reporter: after the run, tests that took longer than a test of its scope should, and the files that took longest. */
import type { Reporter, TestModule } from 'vitest/node'

const FILES = 8

export class SlowTests implements Reporter {
  readonly #limitMs: number

  constructor(limitMs: number) {
    this.#limitMs = limitMs
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const line of slowLines(modules, this.#limitMs)) console.info(line)
  }
}

export function slowLines(modules: readonly TestModule[], limitMs: number): string[] {
  const slow = modules.flatMap((module) => [...module.children.allTests()]
    .map((test) => ({ name: `${module.relativeModuleId} > ${test.fullName}`, duration: test.diagnostic()?.duration ?? 0 }))
    .filter(({ duration }) => duration > limitMs))
  const files = modules.map((module) => ({ name: module.relativeModuleId, duration: module.diagnostic().duration }))
  const lines = (list: readonly { name: string; duration: number }[]): string[] =>
    [...list].sort((a, b) => b.duration - a.duration).map(({ name, duration }) => `  ${Math.round(duration / 1000)} s  ${name}`)
  return [
    `Files that took longest, hooks included:`, ...lines(files).slice(0, FILES),
    slow.length === 0 ? `No test took longer than ${limitMs / 1000} s.`
      : `OVER THE LIMIT of ${limitMs / 1000} s (make the test smaller by \`amount\` and \`drawn\`, or move it to test/long; see test/support/scope.ts):`,
    ...lines(slow),
  ]
}
