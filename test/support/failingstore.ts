import type { ObjectStore } from '../../src/engine/objectstore.ts'

/** A store whose puts of keys that fit, whose lists and deletes that fit, fail as those of a program that is killed there. */
export function failing(put: RegExp, { listed, deleted }: { listed?: RegExp; deleted?: RegExp } = {}): (store: ObjectStore) => ObjectStore {
  const killedAt = (pattern: RegExp | undefined, key: string): void => {
    if (pattern?.test(key)) throw new Error('killed')
  }
  return (store) => new Proxy(store, {
    get: (target, member): unknown => {
      if (member === 'put') {
        return async (...[key, ...rest]: Parameters<ObjectStore['put']>) => {
          killedAt(put, key)
          return await target.put(key, ...rest)
        }
      }
      if (member === 'list') {
        return (prefix: string) => {
          killedAt(listed, prefix)
          return target.list(prefix)
        }
      }
      if (member === 'delete') {
        return async (keys: readonly string[]) => {
          for (const key of keys) killedAt(deleted, key)
          await target.delete(keys)
        }
      }
      const value: unknown = Reflect.get(target, member, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
