/*
 * A namespace that plays a guest whose NIC has no tap, as QEMU's `-netdev stream,server=on` has it.
 *
 *   guest namespace: eth0 (a tap with the guest's MAC) ──[fd]── this process ──[Unix socket, it listens]── the carrier
 *
 * Each frame goes behind its length, 32 bits in network order. One client at a time; when it goes, what it had begun
 * to say is forgotten and the next one is waited for, as QEMU does. Like QEMU it blocks while its client does not
 * read. Dies with its parent.
 *
 * usage: stream-guest SOCKET GUEST-NETNS GUEST-NIC MAC MTU UID; prints "ready" once it listens.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FRAME (65536 + 64)

static unsigned char out[4 + FRAME], in[4 + FRAME];

static void fail(const char *what, const char *object)
{
	fprintf(stderr, "%s %s: %s\n", what, object, strerror(errno));
	exit(1);
}

static int open_nic(const char *netns, const char *name, const char *mac, int mtu)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	unsigned char *bytes = (unsigned char *)request.ifr_hwaddr.sa_data;
	int ns = open(netns, O_RDONLY | O_CLOEXEC);

	if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
		fail("enter", netns);
	int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (tap < 0 || ioctl(tap, TUNSETIFF, &request) < 0)
		fail("attach", name);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	if (sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", bytes, bytes + 1, bytes + 2, bytes + 3, bytes + 4, bytes + 5) != 6) {
		errno = EINVAL;
		fail("parse MAC", mac);
	}
	if (ioctl(fd, SIOCSIFHWADDR, &request) < 0)
		fail("set MAC of", name);
	request.ifr_mtu = mtu;
	if (ioctl(fd, SIOCSIFMTU, &request) < 0)
		fail("set MTU of", name);
	request.ifr_flags = IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		fail("set up", name);
	close(fd);
	return tap;
}

static int listen_on(const char *path, uid_t uid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chown(path, uid, uid) < 0 || listen(fd, 1) < 0)
		fail("listen on", path);
	return fd;
}

static int write_all(int fd, const unsigned char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t done = send(fd, bytes, length, MSG_NOSIGNAL);

		if (done < 0)
			return -1;
		bytes += done;
		length -= done;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int client = -1;
	size_t have = 0;

	if (argc != 7) {
		fprintf(stderr, "usage: stream-guest SOCKET GUEST-NETNS GUEST-NIC MAC MTU UID\n");
		return 2;
	}
	uid_t uid = atoi(argv[6]);
	int tap = open_nic(argv[2], argv[3], argv[4], atoi(argv[5]));
	int listener = listen_on(argv[1], uid);

	if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		fail("become uid", argv[6]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd fds[] = { { tap, POLLIN, 0 }, { client < 0 ? listener : client, POLLIN, 0 } };

		if (poll(fds, 2, -1) < 0)
			fail("poll", argv[1]);
		if (fds[0].revents & (POLLERR | POLLHUP))
			return 0;
		if (fds[0].revents & POLLIN) {
			ssize_t length = read(tap, out + 4, FRAME);
			uint32_t size = htonl(length);

			memcpy(out, &size, 4);
			if (length > 0 && client >= 0 && write_all(client, out, length + 4) < 0) {
				close(client);
				client = -1;
				continue;
			}
		}
		if (!fds[1].revents)
			continue;
		if (client < 0) {
			client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
			have = 0;
			continue;
		}
		/* No more than one frame at a time: its length, then the rest of it. */
		uint32_t size = 0;

		memcpy(&size, in, 4);
		size_t wanted = have < 4 ? 4 : 4 + ntohl(size);
		if (wanted > sizeof(in)) {
			fprintf(stderr, "the client sends nonsense\n");
			return 1;
		}
		ssize_t got = recv(client, in + have, wanted - have, MSG_DONTWAIT);

		if (got <= 0) {
			if (got < 0 && errno == EAGAIN)
				continue;
			close(client);
			client = -1;
			continue;
		}
		have += got;
		if (have > 4 && have == wanted) {
			if (write(tap, in + 4, have - 4) < 0 && errno == EBADFD)
				return 0;
			have = 0;
		}
	}
}
