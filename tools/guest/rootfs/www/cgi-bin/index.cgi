#!/bin/sh
# The page that demos fetch: who answers, and whom it sees asking (which is how a translated source shows).
printf 'Content-Type: text/plain\r\n\r\n'
echo "hello from $(hostname)"
ip -o addr show scope global | awk '{ print "address " $4 " on " $2 }'
echo "boot $(cat /proc/sys/kernel/random/boot_id)"
you=${REMOTE_ADDR#[}
you=${you%]}
echo "you are ${you#::ffff:} port $REMOTE_PORT"
