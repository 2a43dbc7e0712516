/** The shop's tables, made by the server itself: same rows in, whatever the machine. */

/** One statement and what it is about. */
export interface LoadStep {
  what: string
  sql: string
}

export const DATABASE = 'shop'
/** This order is deleted and brought back. */
export const DELETED_ORDER = 1011
const LINES_PER_ORDER = 5
/** So that {@link DELETED_ORDER} exists. */
export const ROWS_MIN = 10_000

const TABLES = `
  CREATE TABLE customers (
    id int PRIMARY KEY, name text NOT NULL, email text, country text NOT NULL, since timestamptz NOT NULL, profile jsonb
  );
  CREATE TABLE orders (
    id bigint PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, ref uuid NOT NULL, status text NOT NULL,
    total numeric(12,2) NOT NULL, placed_at timestamptz NOT NULL, details jsonb
  );
  CREATE TABLE order_lines (
    order_id bigint, line int, product text NOT NULL, quantity int NOT NULL, price numeric(12,2) NOT NULL,
    shipped_at timestamptz, options jsonb, PRIMARY KEY (order_id, line)
  )`

const customers = (count: number): string => `
  INSERT INTO customers
  SELECT i,
    (ARRAY['Ada','Grace','Zoë','Łukasz','李','Noor','Søren','Olga'])[1 + i % 8] || ' ' ||
    (ARRAY['Novak','Müller','O''Brien','García','Tanaka','Okafor','Ørsted'])[1 + i % 7],
    CASE WHEN i % 9 > 0 THEN 'customer' || i || '@example.com' END,
    (ARRAY['DE','FR','PL','JP','BR','NG','DK','MX','US','IN'])[1 + (i * 7) % 10],
    timestamptz '2019-01-01 00:00+00' + i * interval '97 minutes',
    CASE WHEN i % 4 > 0 THEN
      jsonb_build_object('tier', (ARRAY['basic','gold','new'])[1 + i % 3], 'points', i * 37 % 5000, 'tags', jsonb_build_array(i % 5, 'web'))
    END
  FROM generate_series(1, ${count}) AS i`

const orderLines = (count: number): string => `
  INSERT INTO order_lines
  SELECT 1 + i / ${LINES_PER_ORDER}, 1 + i % ${LINES_PER_ORDER},
    (ARRAY['tea','coffee','cup','kettle','spoon','honey','biscuits','filter paper'])[1 + hash % 8] || ' no. ' || hash % 997,
    1 + hash % 4, (99 + hash % 150000) / 100.0,
    CASE WHEN hash % 11 > 0 THEN timestamptz '2024-03-01 08:00+00' + i * interval '31 seconds' + hash % 86400 * interval '1 second' END,
    CASE hash % 3 WHEN 0 THEN jsonb_build_object('color', (ARRAY['red','green','blue'])[1 + hash % 7 % 3], 'grams', hash % 2000 / 4.0)
                  WHEN 1 THEN '{"gift": true, "wrap": "paper"}' END
  FROM (SELECT i, hashint4(i) & 1048575 AS hash FROM generate_series(0, ${count - 1}) AS i) AS numbers`

const orders = (customerCount: number): string => `
  INSERT INTO orders
  SELECT order_id, 1 + order_id * 31 % ${customerCount}, md5('order ' || order_id)::uuid, 'paid', sum(quantity * price),
    timestamptz '2024-03-01 08:00+00' + order_id * interval '155 seconds',
    CASE WHEN order_id % 3 = 0 THEN jsonb_build_object('channel', 'web', 'coupon', NULL, 'lines', count(*)) END
  FROM order_lines GROUP BY order_id ORDER BY order_id`

const CHANGES = `
  UPDATE orders SET status = 'shipped' WHERE id % 10 = 0;
  UPDATE order_lines SET quantity = quantity + 1 WHERE order_id % 50 = 7;
  DELETE FROM order_lines WHERE order_id % 100 = ${DELETED_ORDER % 100};
  DELETE FROM orders WHERE id % 100 = ${DELETED_ORDER % 100}`

/** The other half of a day's work: a transaction that took it all back. */
const ROLLED_BACK = `BEGIN; UPDATE customers SET country = 'XX' WHERE id % 20 = 0; DELETE FROM orders WHERE id < 50; ROLLBACK`

/** @param lines order lines to insert, at least {@link ROWS_MIN} */
export function shopSteps(lines: number): LoadStep[] {
  const customerCount = Math.ceil(lines / 50)
  return [
    { what: 'tables', sql: TABLES },
    { what: 'customers', sql: customers(customerCount) },
    { what: 'order lines', sql: orderLines(lines) },
    { what: 'orders', sql: orders(customerCount) },
    { what: 'updates and deletes', sql: CHANGES },
    { what: 'a rolled back transaction', sql: ROLLED_BACK },
  ]
}
