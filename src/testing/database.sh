#!/bin/sh
# Keeps a database server for tests, in a folder and on a port of its own: `start` and `crash` on standard input, a line
# of answer each. When the input ends, since the tests have, however they did, the server goes and its folder with it.
set -u
kind=$1 folder=$2 port=$3
user=postgres
[ "$kind" = postgres ] || user=mysql
pid=
trap : INT TERM HUP

# Neither of them runs as root. What runs goes when this script does.
as=
[ "$(id -u)" != 0 ] || as="setpriv --reuid $user --regid $user --clear-groups --pdeathsig KILL --"

# The newest PostgreSQL that is installed; Debian keeps its programs off the PATH.
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)

certificates() {
    new="openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"
    for authority in ca other; do
        $new -subj "/CN=$authority" -keyout "$authority.key" -out "$authority.pem"
    done
    $new -subj /CN=server -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
        -CA ca.pem -CAkey ca.key -keyout server.key -out server.pem
}

prepare() {
    cd "$folder" && certificates || return 1
    [ "$(id -u)" != 0 ] || chown -R "$user" "$folder" || return 1
    case $kind in
    postgres)
        $as "$bin/initdb" -D data -U postgres --auth trust --encoding UTF8 --locale C.UTF-8 --no-sync || return 1
        printf '%s\n' 'local all all trust' 'hostnossl all encrypted all reject' 'host all all all scram-sha-256' \
            >data/pg_hba.conf
        ;;
    mariadb)
        $as mariadb-install-db --no-defaults --datadir="$folder/data" --auth-root-authentication-method=normal \
            --skip-test-db
        ;;
    esac
}

launch() {
    # What is killed here is a process, not a machine: that the disk has all of it is not waited for.
    case $kind in
    postgres)
        $as "$bin/postgres" -D "$folder/data" -p "$port" -k "$folder" -c listen_addresses=127.0.0.1 -c fsync=off \
            -c ssl=on -c ssl_cert_file="$folder/server.pem" -c ssl_key_file="$folder/server.key" &
        ;;
    mariadb)
        $as mariadbd --no-defaults --datadir="$folder/data" --socket="$folder/socket" --port="$port" \
            --bind-address=127.0.0.1 --skip-name-resolve --innodb-flush-log-at-trx-commit=2 \
            --innodb-buffer-pool-size=64M --ssl-cert="$folder/server.pem" --ssl-key="$folder/server.key" &
        ;;
    esac
    pid=$!
}

answers() {
    case $kind in
    postgres) psql -X -h "$folder" -p "$port" -U postgres -c 'select 1' ;;
    mariadb) mariadb --no-defaults --socket="$folder/socket" -u root -e 'select 1' ;;
    esac
}

# Until it answers; what is left of one that was killed may keep it from starting at first.
start() {
    launch
    tries=0
    until answers; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || return 1
        sleep 0.1
        kill -0 "$pid" || launch
    done
}

# All of its processes at once, as the kernel does it to a machine out of memory.
crash() {
    kill -KILL "$pid" $(cat "/proc/$pid/task/$pid/children")
    wait "$pid"
}

exec 3>&1 >"$folder/log" 2>&1
if prepare; then
    while read -r order; do
        case $order in
        start) start ;;
        crash) crash ;;
        esac
        echo "$order" >&3
    done
else
    echo failed >&3
fi
if [ -n "$pid" ]; then
    # PostgreSQL cleans up after itself on QUIT; MariaDB has nothing to clean up.
    [ "$kind" = postgres ] && kill -QUIT "$pid" || kill -KILL "$pid"
    wait "$pid"
fi
rm -rf "$folder"
