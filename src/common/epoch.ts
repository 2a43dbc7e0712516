/** 2000-01-01, from which Postgres counts time (POSTGRES_EPOCH_JDATE, timestamp.h), in seconds since 1970. */
export const POSTGRES_EPOCH_SECONDS = 946_684_800
