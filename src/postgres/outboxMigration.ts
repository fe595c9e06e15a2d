/*
 * The table of all outboxes, as docs/schema.md explains it.
 *
 * - One index leads from key to key, and to the messages of a key in their order.
 * - A message that was delivered, and is kept, is in none but the last index.
 */
export const outboxMigration = (schema: string): ReadonlyArray<string> => [
  `CREATE TABLE ${schema}.outbox (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    position bigint GENERATED ALWAYS AS IDENTITY,
    outbox text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    message text NOT NULL,
    status text COLLATE "C" NOT NULL,
    attempts integer NOT NULL,
    reason text,
    sent_at bigint NOT NULL,
    due_at bigint,
    ended_at bigint
  )`,
  `CREATE INDEX outbox_by_key ON ${schema}.outbox (outbox, key, position) WHERE status <> 'Delivered'`,
  `CREATE INDEX outbox_ended ON ${schema}.outbox (outbox, status, ended_at) WHERE ended_at IS NOT NULL`
]
