#!/bin/sh
# udhcpc's script in namespace guests: prints the lease for the test and puts it on the NIC.
case $1 in
  bound | renew)
    env | grep -E '^[a-z][a-z0-9_]*=' | sed 's/^/lease:/'
    [ -n "$mtu" ] && ip link set "$interface" mtu "$mtu"
    ip -4 addr flush dev "$interface"
    ip addr add "$ip/$mask" dev "$interface"
    if [ -n "$staticroutes" ]; then
      set -- $staticroutes
      while [ $# -ge 2 ]; do
        # A gateway outside the subnet is on the link all the same (RFC 3442 allows it as 0.0.0.0).
        case $2 in 0.0.0.0) ip route replace "$1" dev "$interface" ;; *) ip route replace "$1" via "$2" dev "$interface" onlink ;; esac
        shift 2
      done
    else
      for one in $router; do ip route replace default via "$one" dev "$interface" onlink && break; done
    fi
    { [ -n "$search$domain" ] && echo "search ${search:-$domain}"; for one in $dns; do echo "nameserver $one"; done; } >/etc/resolv.conf
    echo lease:applied=yes
    ;;
esac
