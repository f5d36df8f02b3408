/*
 * Round trips and streams between two stations, for bench/datapath. One small program rather than a load generator,
 * so that a cell of a table takes a fifth of a second and rounds of many scenarios can be interleaved, and so that
 * the same binary runs in a guest (static).
 *
 *   pingpong serve PORT                            echoes, until it is ended
 *   pingpong tcp|udp ADDRESS PORT SIZE MS          round trips of SIZE bytes, one at a time
 *   pingpong send|receive ADDRESS PORT MS          a TCP stream from or to this side
 *
 * Prints one JSON line: {"n":…,"p50":…,"p99":…,"mean":…,"lost":…} in nanoseconds, or {"bytes":…,"ns":…}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LARGEST (1 << 20)
#define SAMPLES (1 << 20)
/* What a TCP client asks for. */
enum { ECHO = 1, SINK = 2, SOURCE = 3 };

struct hello {
	uint32_t what, size;
};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int whole(int fd, char *data, size_t size, ssize_t (*move)(int, void *, size_t))
{
	for (size_t at = 0; at < size;) {
		ssize_t n = move(fd, data + at, size - at);

		if (n <= 0) {
			if (n < 0 && errno == EINTR)
				continue;
			return -1;
		}
		at += n;
	}
	return 0;
}

static ssize_t write_(int fd, void *data, size_t size)
{
	return write(fd, data, size);
}

static void prompt(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void *serve_tcp(void *argument)
{
	int fd = (int)(intptr_t)argument;
	char *data = calloc(1, LARGEST);
	struct hello hello;

	prompt(fd);
	if (whole(fd, (char *)&hello, sizeof hello, read) == 0 && ntohl(hello.size) <= LARGEST) {
		size_t size = ntohl(hello.size);
		uint32_t what = ntohl(hello.what);

		if (what == ECHO)
			while (whole(fd, data, size, read) == 0 && whole(fd, data, size, write_) == 0)
				;
		else if (what == SINK) {
			uint64_t bytes = 0;
			ssize_t n;

			while ((n = read(fd, data, LARGEST)) > 0)
				bytes += n;
			if (write(fd, &bytes, sizeof bytes) < 0)
				perror("answer");
		} else if (what == SOURCE)
			while (write(fd, data, 128 << 10) > 0)
				;
	}
	close(fd);
	free(data);
	return NULL;
}

static void *serve_udp(void *argument)
{
	int fd = (int)(intptr_t)argument;
	char *data = malloc(LARGEST);

	for (;;) {
		struct sockaddr_storage from;
		socklen_t length = sizeof from;
		ssize_t n = recvfrom(fd, data, LARGEST, 0, (struct sockaddr *)&from, &length);

		if (n >= 0)
			sendto(fd, data, n, 0, (struct sockaddr *)&from, length);
	}
	return NULL;
}

static int bound(int type, int port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0), on = 1, off = 0;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) < 0)
		fail("bind");
	return fd;
}

static void serve(int port)
{
	int tcp = bound(SOCK_STREAM, port), udp = bound(SOCK_DGRAM, port);
	pthread_t thread;

	signal(SIGPIPE, SIG_IGN);
	if (listen(tcp, 16) < 0)
		fail("listen");
	pthread_create(&thread, NULL, serve_udp, (void *)(intptr_t)udp);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int fd = accept4(tcp, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0 && pthread_create(&thread, NULL, serve_tcp, (void *)(intptr_t)fd) == 0)
			pthread_detach(thread);
	}
}

static int joined(int type, const char *ip, int port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int is4 = inet_pton(AF_INET, ip, &v4.sin_addr) == 1;
	/* Lost datagrams are counted, not waited for. */
	struct timeval patience = { .tv_usec = 20000 };
	int fd = socket(is4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0);

	if (!is4 && inet_pton(AF_INET6, ip, &v6.sin6_addr) != 1) {
		fprintf(stderr, "%s is no address\n", ip);
		exit(2);
	}
	if (type == SOCK_DGRAM)
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (connect(fd, is4 ? (void *)&v4 : (void *)&v6, is4 ? sizeof v4 : sizeof v6) < 0)
		fail("connect");
	if (type == SOCK_STREAM)
		prompt(fd);
	return fd;
}

static void ask(int fd, uint32_t what, uint32_t size)
{
	struct hello hello = { htonl(what), htonl(size) };

	if (whole(fd, (char *)&hello, sizeof hello, write_) < 0)
		fail("greet");
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* One datagram there and back. 0: it was lost, or too late. */
static int echoed(int fd, char *data, uint32_t size)
{
	uint64_t stamp = now();
	ssize_t got;

	memcpy(data, &stamp, size < sizeof stamp ? size : sizeof stamp);
	if (send(fd, data, size, 0) < 0)
		fail("send");
	/* The answer to a datagram that was given up may come late. */
	while ((got = recv(fd, data, size + 1, 0)) >= 0)
		if (got == (ssize_t)size && (size < sizeof stamp || memcmp(data, &stamp, sizeof stamp) == 0))
			return 1;
	return 0;
}

static void round_trips(int udp, const char *ip, int port, uint32_t size, uint64_t span)
{
	int fd = joined(udp ? SOCK_DGRAM : SOCK_STREAM, ip, port);
	uint64_t *took = malloc(SAMPLES * sizeof *took), sum = 0, n = 0, lost = 0;
	char *data = calloc(1, size + 1);

	/* Neighbours ask for each other first, as they do while TCP connects. */
	if (udp)
		for (int tries = 0; tries < 100 && !echoed(fd, data, size); tries++)
			;
	else
		ask(fd, ECHO, size);

	/* A tenth to warm up: caches, the peer's windows. */
	uint64_t begin = now(), counted = begin + span / 10, end = begin + span;

	for (uint64_t t = begin; t < end && n < SAMPLES;) {
		if (udp) {
			if (!echoed(fd, data, size)) {
				lost++;
				t = now();
				continue;
			}
		} else if (whole(fd, data, size, write_) < 0 || whole(fd, data, size, read) < 0)
			fail("round trip");
		uint64_t after = now();

		if (t >= counted) {
			took[n++] = after - t;
			sum += after - t;
		}
		t = after;
	}
	qsort(took, n, sizeof *took, ascending);
	if (n == 0)
		printf("{\"n\":0,\"p50\":null,\"p99\":null,\"mean\":null,\"lost\":%lu}\n", lost);
	else
		printf("{\"n\":%lu,\"p50\":%lu,\"p99\":%lu,\"mean\":%lu,\"lost\":%lu}\n", n, took[n / 2], took[n * 99 / 100], sum / n,
		       lost);
}

static void stream(int out, const char *ip, int port, uint64_t span)
{
	int fd = joined(SOCK_STREAM, ip, port);
	char *data = calloc(1, LARGEST);
	uint64_t bytes = 0, begin = now(), end = begin + span;

	ask(fd, out ? SINK : SOURCE, 0);
	while (now() < end) {
		ssize_t n = out ? write(fd, data, 128 << 10) : read(fd, data, LARGEST);

		if (n <= 0)
			fail("stream");
		bytes += n;
	}
	if (out) {
		/* What arrived, not what was buffered. */
		shutdown(fd, SHUT_WR);
		if (whole(fd, (char *)&bytes, sizeof bytes, read) < 0)
			fail("receipt");
	}
	printf("{\"bytes\":%lu,\"ns\":%lu}\n", bytes, now() - begin);
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (argc == 3 && strcmp(verb, "serve") == 0)
		serve(atoi(argv[2]));
	else if (argc == 6 && (strcmp(verb, "tcp") == 0 || strcmp(verb, "udp") == 0))
		round_trips(verb[0] == 'u', argv[2], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]) * 1000000ull);
	else if (argc == 5 && (strcmp(verb, "send") == 0 || strcmp(verb, "receive") == 0))
		stream(verb[0] == 's', argv[2], atoi(argv[3]), atoi(argv[4]) * 1000000ull);
	else {
		fprintf(stderr, "usage: pingpong serve PORT | tcp|udp ADDRESS PORT SIZE MS | send|receive ADDRESS PORT MS\n");
		return 2;
	}
	return 0;
}
