#!/bin/sh
# Draws the secrets of docker-compose.yml into var/secrets, or into the folder that is named.
# A secret that is there already stays as it is.
#
# The files are readable by all, because each container reads them as another user; the folder
# lets in nobody but its owner.
set -eu

folder=${1:-$(dirname "$0")/../var/secrets}
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

keep() { # <name>: the secret on standard input, unless there is one
    [ -e "$1" ] && return
    cat > "$1.unfinished"
    chmod 444 "$1.unfinished"
    mv "$1.unfinished" "$1"
    echo "drawn: $1"
}

letters() { head -c 64 /dev/urandom | base64 | tr -d '\n/+='; }

for name in postgres_password redis_password key_pepper secret_key; do
    letters | keep "$name"
done
head -c 32 /dev/urandom | base64 | keep master_key
# Stripe's are the operator's to fill in; empty, as long as no payments are taken.
for name in stripe_secret_key stripe_webhook_secret; do
    keep "$name" < /dev/null
done
printf 'postgresql://farebox:%s@postgres:5432/farebox' "$(cat postgres_password)" | keep database_url
printf 'redis://:%s@redis:6379/0' "$(cat redis_password)" | keep redis_url
