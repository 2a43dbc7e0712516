import type { LoadStep } from './shop.ts'

/** Values that no Parquet type holds, and types that Parquet does not have. */
const TABLE = `
  CREATE TYPE mood AS ENUM ('calm', 'curious', 'Łódź');
  CREATE TYPE parcel AS (weight numeric, label text);
  CREATE TABLE oddities (
    id int PRIMARY KEY, n numeric, price numeric(12,2), f float8, d date, moment timestamptz, span interval, matrix int[], words text[],
    during tstzrange, holidays datemultirange, ip inet, net cidr, mac macaddr, bits varbit, place point, shape polygon,
    doc tsvector, feeling mood, box parcel, file bytea, code uuid, page text, local timetz, cash money, notes xml
  )`

/** 40 KB that no compression shortens: stored out of line. */
const LONG_TEXT = `(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1250) AS i)`

const ROWS = `
  INSERT INTO oddities (id, n, price, f, d, moment) VALUES
    (1, 'NaN', 'NaN', 'NaN', 'infinity', '-infinity'),
    (2, 'Infinity', NULL, '-Infinity', '-infinity', 'infinity'),
    (3, '-Infinity', 0.10, '-0', '4713-01-01 BC', '4714-11-24 00:00:00+00 BC'),
    (4, 1234567890123456789012345678901234567890.125, 12.30, 5e-324, '5874897-12-31', '294276-12-31 23:59:59.999999+00'),
    (5, 1.000000000000000000000000000000000001, 9999999999.99, 1.7976931348623157e308, '2000-02-29', '2000-01-01 00:00+00'),
    (6, 100.500, -0.01, 0.1, '0001-01-01', '1969-12-31 23:59:59.999999+00');
  INSERT INTO oddities (id, matrix, words) VALUES
    (7, '{{1,2},{3,4}}', '{a,NULL,"NULL","",Zoë}'), (8, '[0:2]={7,8,9}', '{}'), (9, '{1,NULL,3}', '{{x},{y}}');
  INSERT INTO oddities (id, span, during, holidays, ip, net, mac, bits, place, shape) VALUES
    (10, '1 year -2 mons 3 days -04:05:06.789', '[2024-02-28 12:00+00,)', '{[2024-01-01,2024-01-03),[2024-12-24,2024-12-27)}',
     '2001:db8::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', '1011001', '(1.5,-2e300)', '((0,0),(4,0),(4,3))'),
    (11, '-178000000 years', 'empty', '{}', '192.168.0.1', '::/0', 'ff:ff:ff:ff:ff:ff', '', '(NaN,Infinity)', '((0,0))');
  INSERT INTO oddities (id, doc, feeling, box, file, code, page, local, cash, notes) VALUES
    (12, to_tsvector('simple', 'a page of Postgres, as columns, as a page'), 'Łódź', ROW('NaN', 'fragile'), '\\x00ff10',
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', ${LONG_TEXT}, '24:00:00-15:59:59', '-$92,233,720,368,547,758.08', '<a b="1"/>'),
    (13, NULL, 'calm', ROW(1.50, NULL), '', '00000000-0000-0000-0000-000000000000', repeat('ltap ', 2000), '12:00+05:30', '$0.01', NULL)`

/** A column that old rows lack, and one that is gone but for its bytes. */
const ALTERED = `
  ALTER TABLE oddities ADD COLUMN since date DEFAULT '2026-01-01';
  ALTER TABLE oddities DROP COLUMN cash;
  INSERT INTO oddities (id, since) VALUES (14, 'infinity')`

/** Infinite intervals came with 17. */
const INFINITE_INTERVALS = `UPDATE oddities SET span = 'infinity' WHERE id = 1; UPDATE oddities SET span = '-infinity' WHERE id = 2`

export function odditySteps(major: number): LoadStep[] {
  const sql = [TABLE, ROWS, ALTERED, ...(major >= 17 ? [INFINITE_INTERVALS] : [])]
  return [{ what: 'oddities', sql: sql.join(';') }]
}

/** Columns whose values go to `_overflow` in the rows above. */
const OVERFLOWING = ['n', 'price', 'd', 'moment', 'span', 'matrix', 'words', 'since'] as const

/** Every value of the table that its column does not hold exactly; DuckDB's SQL. */
export const OVERFLOW_SQL: string = `${OVERFLOWING.map((column) =>
  `SELECT id, '${column}' AS "column", ${column}::varchar AS "in the column", _overflow.${column} AS "exactly" ` +
  `FROM oddities WHERE _overflow.${column} IS NOT NULL`).join('\nUNION ALL\n')}\nORDER BY 1, 2`
