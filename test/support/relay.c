/*
 * The cable between a pod's tap and a namespace that plays the guest.
 *
 *   pod namespace               this process                 guest namespace
 *   k6t-eth0 ── tap0 ──[fd, as the unprivileged uid]──copy──[fd]── eth0 (a tap with the guest's MAC)
 *
 * It takes the place of QEMU: it may open the tap only because phase 1 made it for this uid, and it passes frames
 * with their virtio-net header, so that both stacks hand each other segments of up to 64 KiB with checksums left
 * to the other side. That is what makes it fast; the loop itself is read and write. One thread a direction and
 * queue. Dies with its parent (PDEATHSIG); the guest's NIC is not persistent and goes with it.
 *
 * A macvtap in the tap's place is opened by its own character device, made private here from the number in the pod's
 * sysfs: the host's /dev/tapN may be another namespace's.
 *
 * usage: relay POD-NETNS POD-TAP GUEST-NETNS GUEST-NIC MAC MTU UID QUEUES; prints "ready" once frames flow.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MAX_QUEUES 16
/* 64 KiB of IP, an Ethernet header with tags, and the virtio header. */
#define FRAME (65536 + 64)

static void fail(const char *what, const char *object)
{
	fprintf(stderr, "%s %s: %s\n", what, object, strerror(errno));
	exit(1);
}

static void enter(const char *netns)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		fail("enter", netns);
	close(fd);
}

/* A tun descriptor belongs to the namespace it is opened in, not to the one of its ioctls. */
static void open_queues(int *fds, int count, const char *device)
{
	for (int i = 0; i < count; i++) {
		fds[i] = open(device, O_RDWR | O_CLOEXEC);
		if (fds[i] < 0)
			fail("open", device);
	}
}

#define MACVTAP_NODE "/tmp/macvtap"

/* In the link's namespace: a node for its owner, in a mount namespace of this process. 0 where it is no macvtap. */
static int make_macvtap_node(const char *name, uid_t owner)
{
	char folder[64], file[sizeof(folder) + 300];
	unsigned int number_major, number_minor;
	struct dirent *entry;
	FILE *number = NULL;
	DIR *list;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("sysfs", "/sys", "sysfs", MS_RDONLY, NULL) < 0)
		fail("look at the sysfs of", name);
	snprintf(folder, sizeof(folder), "/sys/class/net/%s/macvtap", name);
	list = opendir(folder);
	if (list == NULL)
		return 0;
	while (number == NULL && (entry = readdir(list)) != NULL) {
		snprintf(file, sizeof(file), "%s/%s/dev", folder, entry->d_name);
		if (entry->d_name[0] == 't')
			number = fopen(file, "r");
	}
	closedir(list);
	if (number == NULL || fscanf(number, "%u:%u", &number_major, &number_minor) != 2)
		fail("find the device of", name);
	fclose(number);
	if (mount("tmpfs", "/tmp", "tmpfs", 0, "mode=0755") < 0 ||
	    mknod(MACVTAP_NODE, S_IFCHR | 0600, makedev(number_major, number_minor)) < 0 ||
	    chown(MACVTAP_NODE, owner, owner) < 0)
		fail("make the device of", name);
	return 1;
}

static void attach(int *fds, int count, const char *name)
{
	unsigned int offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (count > 1 ? IFF_MULTI_QUEUE : 0);

	for (int i = 0; i < count; i++) {
		struct ifreq request = { .ifr_flags = flags };

		strncpy(request.ifr_name, name, IFNAMSIZ - 1);
		if (ioctl(fds[i], TUNSETIFF, &request) < 0)
			fail("attach", name);
		if (ioctl(fds[i], TUNSETOFFLOAD, offloads) < 0)
			fail("offload", name);
	}
}

static void configure(const char *name, const char *mac, int mtu)
{
	struct ifreq request = { 0 };
	unsigned char *bytes = (unsigned char *)request.ifr_hwaddr.sa_data;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	if (sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", bytes, bytes + 1, bytes + 2, bytes + 3, bytes + 4, bytes + 5) != 6) {
		errno = EINVAL;
		fail("parse MAC", mac);
	}
	if (ioctl(fd, SIOCSIFHWADDR, &request) < 0)
		fail("set MAC of", name);
	request.ifr_mtu = mtu;
	if (mtu > 0 && ioctl(fd, SIOCSIFMTU, &request) < 0)
		fail("set MTU of", name);
	request.ifr_flags = IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		fail("set up", name);
	close(fd);
}

struct direction {
	int from, to;
};

static void *copy(void *argument)
{
	struct direction *way = argument;
	char *frame = malloc(FRAME);

	for (;;) {
		ssize_t length = read(way->from, frame, FRAME);

		if (length > 0) {
			/* A full or closed peer loses the frame, as a NIC would. */
			if (write(way->to, frame, length) < 0 && errno == EBADFD)
				exit(0);
		} else if (length < 0 && errno == EBADFD) {
			/* One of the two NICs was deleted. */
			exit(0);
		} else {
			usleep(1000);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int pod[MAX_QUEUES], guest[MAX_QUEUES];
	struct direction ways[2 * MAX_QUEUES];
	pthread_t threads[2 * MAX_QUEUES];

	if (argc != 9) {
		fprintf(stderr, "usage: relay POD-NETNS POD-TAP GUEST-NETNS GUEST-NIC MAC MTU UID QUEUES\n");
		return 2;
	}
	uid_t uid = atoi(argv[7]);
	int count = atoi(argv[8]);

	if (count < 1 || count > MAX_QUEUES) {
		errno = EINVAL;
		fail("queues", argv[8]);
	}
	enter(argv[3]);
	open_queues(guest, count, "/dev/net/tun");
	attach(guest, count, argv[4]);
	configure(argv[4], argv[5], atoi(argv[6]));
	enter(argv[1]);
	int macvtap = make_macvtap_node(argv[2], uid);
	if (!macvtap)
		open_queues(pod, count, "/dev/net/tun");
	/* From here on with no more rights than QEMU has. */
	if (setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		fail("become uid", argv[7]);
	if (macvtap)
		open_queues(pod, count, MACVTAP_NODE);
	attach(pod, count, argv[2]);
	/* Changing uid clears it, therefore here. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);

	for (int i = 0; i < count; i++) {
		ways[2 * i] = (struct direction){ pod[i], guest[i] };
		ways[2 * i + 1] = (struct direction){ guest[i], pod[i] };
	}
	for (int i = 0; i < 2 * count; i++)
		if (pthread_create(&threads[i], NULL, copy, &ways[i]) != 0)
			fail("start thread for", argv[2]);
	puts("ready");
	fflush(stdout);
	pthread_join(threads[0], NULL);
	return 0;
}
