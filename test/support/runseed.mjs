/**
 * The seed of a run of tests without LTAP_TEST_SEED. `node test/support/runseed.mjs` prints the one of the commit: the number of commits up to it, so
 * that successive commits draw successive parts of each list (scope.ts). Without history (a shallow clone, no repository) it is from the clock.
 */
import { execFileSync } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

const FOLDER = dirname(fileURLToPath(import.meta.url))

/** In `sample` the seed is the commit's, else another each time. */
export function runSeed(scope) {
  return (scope === 'sample' ? commitSeed() : undefined) ?? Date.now() % 1_000_000_000
}

function commitSeed() {
  const git = (...args) => execFileSync('git', ['-C', FOLDER, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  try {
    return git('rev-parse', '--is-shallow-repository') === 'false' ? Number(git('rev-list', '--count', 'HEAD')) : undefined
  } catch {
    return undefined
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(runSeed('sample'))
