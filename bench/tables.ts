/** The SQL of the benchmark tables. Same server version, same rows: numbers come from setseed and arithmetic, never from the clock. */

export type BenchSize = 'full' | 'smoke'

/** Tables of schema bench, in the order they are made. */
export const TABLE_NAMES = ['lineitem', 'events', 'documents', 'accounts'] as const
export type TableName = (typeof TABLE_NAMES)[number]

/** Changes whenever the tables do: cached data of another version is not used. */
export const DATA_VERSION = 1

const WORDS = `ARRAY['furiously','carefully','quickly','slyly','blithely','final','ironic','regular','express','special','pending','bold',
  'even','silent','unusual','deposits','requests','accounts','packages','instructions','theodolites','foxes','pinto','beans','ideas','asymptotes',
  'dependencies','platelets','sleep','wake','nag','haggle','boost','cajole','detect','integrate','among','about','above','against','along','the']`

/** The empty string appended makes the pool a value in memory: a stored one would be decompressed for every row. */
/** Statements that fill an empty database, one by one: VACUUM and COMMIT take no transaction around them. */
export function tableStatements(size: BenchSize): string[] {
  const full = size === 'full'
  return [
    'CREATE SCHEMA bench',
    'SELECT setseed(0.42)',
    `CREATE TABLE bench.pool AS SELECT convert_to(string_agg((${WORDS})[1 + floor(random() * 42)::int], ' '), 'UTF8') AS bytes FROM generate_series(1, 150000)`,
    ...lineitem(full ? 2_000_000 : 60_000),
    ...events(full ? 800_000 : 24_000),
    ...documents(full ? 20_000 : 600),
    ...accounts(full ? 1_000_000 : 50_000, full ? 400_000 : 20_000),
    'DROP TABLE bench.pool',
    'CHECKPOINT',
  ]
}

/** TPC-H's widths and value ranges; comments are cut from a pool of words, as dbgen does. */
function lineitem(rows: number): string[] {
  return [
    `CREATE TABLE bench.lineitem (
      l_orderkey bigint NOT NULL, l_partkey int NOT NULL, l_suppkey int NOT NULL, l_linenumber int NOT NULL,
      l_quantity numeric(15,2) NOT NULL, l_extendedprice numeric(15,2) NOT NULL, l_discount numeric(15,2) NOT NULL, l_tax numeric(15,2) NOT NULL,
      l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL,
      l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL, l_comment varchar(44) NOT NULL)`,
    `INSERT INTO bench.lineitem
      SELECT orderkey, part, 1 + (part + line * 2501) % 10000, line, quantity, quantity * (90000 + part / 10 % 20001 + 100 * (part % 1000)) / 100.0,
        discount / 100.0, tax / 100.0, CASE WHEN ordered + shipped > 3300 THEN 'N' WHEN flag < 0.5 THEN 'R' ELSE 'A' END,
        CASE WHEN ordered + shipped > 3300 THEN 'O' ELSE 'F' END, date '1992-01-01' + ordered + shipped, date '1992-01-01' + ordered + committed,
        date '1992-01-01' + ordered + shipped + received,
        (ARRAY['DELIVER IN PERSON','COLLECT COD','NONE','TAKE BACK RETURN'])[1 + instruct],
        (ARRAY['REG AIR','AIR','RAIL','SHIP','TRUCK','MAIL','FOB'])[1 + mode],
        convert_from(substring((SELECT bytes || '' FROM bench.pool) FROM start FOR length), 'UTF8')
      FROM (SELECT o / 8 * 32 + o % 8 AS orderkey, (o::bigint * 7919 % 2406)::int AS ordered, line, 1 + floor(random() * 200000)::int AS part,
          1 + floor(random() * 50)::int AS quantity, floor(random() * 11)::int AS discount, floor(random() * 9)::int AS tax, random() AS flag,
          1 + floor(random() * 121)::int AS shipped, 30 + floor(random() * 61)::int AS committed, 1 + floor(random() * 30)::int AS received,
          floor(random() * 4)::int AS instruct, floor(random() * 7)::int AS mode, 1 + floor(random() * 1000000)::int AS start,
          10 + floor(random() * 34)::int AS length
        FROM generate_series(1, ${rows}) o, generate_series(1, 1 + (o::bigint * 2654435761 % 4294967296 % 7)::int) line LIMIT ${rows}) line`,
    'VACUUM bench.lineitem',
  ]
}

/** uuid, timestamptz, text, jsonb of five keys, float8 and text with NULLs. */
function events(rows: number): string[] {
  return [
    `CREATE TABLE bench.events (id uuid NOT NULL, at timestamptz NOT NULL, kind text NOT NULL, payload jsonb, score float8, note text)`,
    `INSERT INTO bench.events
      SELECT md5(i::text)::uuid, timestamptz '2026-01-01 00:00:00Z' + i * interval '1.7 seconds', (ARRAY['click','view','buy','search'])[1 + i % 4],
        jsonb_build_object('user', i % 50000 * 7919 % 50000, 'page', '/p/' || (i * 31) % 900, 'ok', i % 3 = 0, 'ms', round((random() * 500)::numeric, 2),
          'tags', jsonb_build_array('t' || i % 7, 't' || i % 11)),
        CASE WHEN i % 5 > 0 THEN random() * 100 END, CASE WHEN i % 2 = 0 THEN 'note ' || i % 1000 END
      FROM generate_series(1, ${rows}) i`,
    'VACUUM bench.events',
  ]
}

/** Out-of-line values, compressed and not, and values compressed in place. */
function documents(rows: number): string[] {
  const cut = (start: string, length: string): string => `convert_from(substring((SELECT bytes || '' FROM bench.pool) FROM ${start} FOR ${length}), 'UTF8')`
  return [
    `CREATE TABLE bench.documents (id bigint NOT NULL, title text NOT NULL, body text, source text)`,
    'ALTER TABLE bench.documents ALTER source SET STORAGE EXTERNAL',
    `INSERT INTO bench.documents
      SELECT i, ${cut('start', '40')}, ${cut('start', 'CASE WHEN i % 3 = 0 THEN 2500 ELSE 9000 END')}, ${cut('start + 100', '3000 + i % 3000')}
      FROM (SELECT i, 1 + floor(random() * 900000)::int AS start FROM generate_series(1, ${rows}) i) row`,
    'VACUUM bench.documents',
  ]
}

/** pgbench's accounts after random updates, each of a transaction of its own. */
function accounts(rows: number, updates: number): string[] {
  return [
    'CREATE TABLE bench.accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))',
    `INSERT INTO bench.accounts SELECT i, 1 + i / 100000, 0, '' FROM generate_series(1, ${rows}) i`,
    'VACUUM bench.accounts',
    `DO $$ DECLARE chosen int; BEGIN
      FOR i IN 1 .. ${updates} LOOP
        chosen := 1 + floor(random() * ${rows});
        UPDATE bench.accounts SET abalance = abalance + floor(random() * 10000)::int - 5000 WHERE aid = chosen;
        COMMIT;
      END LOOP;
    END $$`,
    'VACUUM bench.accounts',
  ]
}
