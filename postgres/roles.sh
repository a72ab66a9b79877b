# Gives each user of the database what it needs, and nothing else. PostgreSQL's image runs this when it creates the
# volume. Run it again after a change of POSTGRES_PASSWORD or POSTGRES_EXPORTER_PASSWORD, and once for a volume in
# which the shop's user is still the superuser (docs/going-live.md):
#
#     docker compose exec db sh /docker-entrypoint-initdb.d/roles.sh
#
#   postgres                  superuser without a password: logs in only inside this container
#   SHOP_USER (retail_user)   owns the schema of the shop's tables
#   exporter                  reads statistics (pg_monitor)

first=postgres
psql --no-psqlrc --username=postgres --dbname="$POSTGRES_DB" --command='' 2>/dev/null || first=$SHOP_USER

psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 \
  --username="$first" --dbname="$POSTGRES_DB" <<'SQL'
\getenv shop SHOP_USER
\getenv password POSTGRES_PASSWORD
\getenv exporter_password POSTGRES_EXPORTER_PASSWORD
\o /dev/null
BEGIN;
SET LOCAL client_min_messages = warning;
SET LOCAL search_path = pg_catalog;
SET LOCAL lock_timeout = '10s';
SELECT rolname AS first, rolname <> 'postgres' AS converts FROM pg_roles WHERE oid = 10 \gset
\if :converts
  -- The first user cannot lose its rights. It gets another name, and the shop a new user.
  CREATE ROLE renaming SUPERUSER;
  SET LOCAL SESSION AUTHORIZATION renaming;
  ALTER ROLE :"first" RENAME TO postgres;
  RESET SESSION AUTHORIZATION;
  DROP ROLE renaming;
\endif
SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'shop') AS no_shop,
  NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'exporter') AS no_exporter,
  current_database() AS db \gset
\if :no_shop
  CREATE ROLE :"shop";
\endif
\if :no_exporter
  CREATE ROLE exporter;
\endif
ALTER ROLE :"shop" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
ALTER ROLE exporter LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'exporter_password';
ALTER ROLE postgres PASSWORD NULL;
GRANT pg_monitor TO exporter;

ALTER DATABASE :"db" OWNER TO postgres;
REVOKE ALL ON DATABASE postgres, template1, :"db" FROM PUBLIC, :"shop";
GRANT CONNECT ON DATABASE :"db" TO :"shop", exporter;
ALTER SCHEMA public OWNER TO :"shop";
REVOKE ALL ON SCHEMA public FROM PUBLIC;
-- The migrations want it, and only a superuser or the database's owner may create it.
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA public;
\o
-- A table takes its indexes and sequences with it.
SELECT format('ALTER TABLE %s OWNER TO %I', c.oid::regclass, :'shop')
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
  AND pg_get_userbyid(c.relowner) <> :'shop'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
    AND d.deptype IN ('a', 'e', 'i')) \gexec
COMMIT;
\if :converts
  -- A session keeps the rights with which it began.
  SELECT FROM pg_stat_activity, pg_terminate_backend(pid)
  WHERE usesysid = 10 AND pid <> pg_backend_pid() AND backend_type = 'client backend';
\endif
SELECT format('%I owns its schema and nothing else; exporter reads statistics', :'shop');
SQL
