// One libnice agent on real sockets in the line protocol of `examples/peer.rs`, as much of it as
// `connect.py` needs. All options are libnice's defaults, but for UPnP, which looks for a router, and
// with --hold trickle: gathering begins with the line `gather`, and candidates are told and taken as
// they come.

#include <agent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static NiceAgent *agent;
static guint stream;
static GMainLoop *loop;
static GSList *remotes;
static gboolean hold;

static void say(const char *word, const char *rest) {
	printf("%s %s\n", word, rest);
	fflush(stdout);
}

static void refuse(const char *why) {
	fprintf(stderr, "libnice-peer: %s\n", why);
	exit(2);
}

static void say_candidate(NiceAgent *self, NiceCandidate *candidate) {
	gchar *sdp = nice_agent_generate_local_candidate_sdp(self, candidate);
	const char *value = strchr(sdp, ':');
	say("candidate", value ? value + 1 : sdp);
	g_free(sdp);
}

static void on_candidate(NiceAgent *self, NiceCandidate *candidate, gpointer user) {
	(void)user;
	if (hold) say_candidate(self, candidate);
}

static void on_gathered(NiceAgent *self, guint id, gpointer user) {
	(void)user;
	GSList *each = hold ? NULL : nice_agent_get_local_candidates(self, id, 1);
	for (; each; each = each->next) say_candidate(self, each->data);
	puts("end-of-candidates");
	fflush(stdout);
}

static void on_state(NiceAgent *self, guint id, guint component, guint state, gpointer user) {
	(void)self, (void)id, (void)component, (void)user;
	switch (state) {
	case NICE_COMPONENT_STATE_CONNECTING: say("state", "checking"); break;
	case NICE_COMPONENT_STATE_CONNECTED: say("state", "connected"); break;
	case NICE_COMPONENT_STATE_READY: say("state", "completed"); break;
	case NICE_COMPONENT_STATE_FAILED: say("state", "failed"); break;
	default: break;
	}
}

static void append(char *text, size_t size, NiceCandidate *candidate) {
	char ip[NICE_ADDRESS_STRING_LEN];
	nice_address_to_string(&candidate->addr, ip);
	size_t length = strlen(text);
	snprintf(text + length, size - length, "%s:%u ", ip, nice_address_get_port(&candidate->addr));
}

static void on_selected(NiceAgent *self, guint id, guint component, NiceCandidate *local,
                        NiceCandidate *remote, gpointer user) {
	(void)self, (void)id, (void)component, (void)user;
	char text[256] = "";
	append(text, sizeof text, local);
	append(text, sizeof text, remote);
	strcat(text, "host host udp");
	say("selected", text);
}

static void on_data(NiceAgent *self, guint id, guint component, guint length, gchar *data,
                    gpointer user) {
	(void)self, (void)id, (void)component, (void)length, (void)data, (void)user;
}

// Those that were not given yet.
static void give_remotes(void) {
	nice_agent_set_remote_candidates(agent, stream, 1, remotes);
	g_slist_free_full(remotes, (GDestroyNotify)nice_candidate_free);
	remotes = NULL;
}

static gboolean on_line(GIOChannel *input, GIOCondition condition, gpointer user) {
	(void)condition, (void)user;
	gchar *line = NULL, ufrag[300], pwd[300];
	gsize end;
	while (g_io_channel_read_line(input, &line, NULL, &end, NULL) == G_IO_STATUS_NORMAL) {
		line[end] = 0;
		if (sscanf(line, "credentials %299s %299s", ufrag, pwd) == 2) {
			nice_agent_set_remote_credentials(agent, stream, ufrag, pwd);
		} else if (g_str_has_prefix(line, "candidate ")) {
			gchar *sdp = g_strconcat("a=candidate:", line + 10, NULL);
			NiceCandidate *remote = nice_agent_parse_remote_candidate_sdp(agent, stream, sdp);
			if (remote) remotes = g_slist_append(remotes, remote);
			else say("error", line);
			g_free(sdp);
			if (hold) give_remotes();
		} else if (!strcmp(line, "gather")) {
			if (!nice_agent_gather_candidates(agent, stream)) refuse("no candidates");
		} else if (!strcmp(line, "end-of-candidates")) {
			give_remotes();
			nice_agent_peer_candidate_gathering_done(agent, stream);
		} else if (!strcmp(line, "close")) {
			g_main_loop_quit(loop);
		}
		g_free(line);
	}
	if (g_io_channel_get_buffer_condition(input) == 0 && (condition & G_IO_HUP))
		g_main_loop_quit(loop);
	return TRUE;
}

// Cuts HOST:PORT, and returns the port.
static guint cut_port(char *place) {
	char *colon = strrchr(place, ':');
	if (!colon) refuse("HOST:PORT is wanted");
	*colon = 0;
	return (guint)atoi(colon + 1);
}

// Cuts USER:PASS@HOST:PORT.
static void add_turn(char *text) {
	char *at = strrchr(text, '@'), *colon = strchr(text, ':');
	if (!at || !colon || colon > at) refuse("USER:PASS@HOST:PORT is wanted");
	*at = *colon = 0;
	guint port = cut_port(at + 1);
	nice_agent_set_relay_info(agent, stream, 1, at + 1, port, text, colon + 1,
	                          NICE_RELAY_TYPE_TURN_UDP);
}

int main(int argc, char **argv) {
	const char *role = NULL, *bind = NULL;
	char *stun = NULL, *turn = NULL;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--hold")) {
			hold = TRUE;
			continue;
		}
		if (i + 1 == argc) refuse("a flag without its value");
		char *flag = argv[i], *value = argv[++i];
		if (!strcmp(flag, "--role")) role = value;
		else if (!strcmp(flag, "--bind")) bind = value;
		else if (!strcmp(flag, "--stun")) stun = value;
		else if (!strcmp(flag, "--turn")) turn = value;
		else refuse("no such flag");
	}
	if (!role || (strcmp(role, "controlling") && strcmp(role, "controlled")))
		refuse("--role is needed");
	loop = g_main_loop_new(NULL, FALSE);
	agent = nice_agent_new(g_main_loop_get_context(loop), NICE_COMPATIBILITY_RFC5245);
	g_object_set(agent, "controlling-mode", !strcmp(role, "controlling"), "upnp", FALSE,
	             "ice-trickle", hold, NULL);
	if (stun) {
		guint port = cut_port(stun);
		g_object_set(agent, "stun-server", stun, "stun-server-port", port, NULL);
	}
	g_signal_connect(agent, "new-candidate-full", G_CALLBACK(on_candidate), NULL);
	g_signal_connect(agent, "candidate-gathering-done", G_CALLBACK(on_gathered), NULL);
	g_signal_connect(agent, "component-state-changed", G_CALLBACK(on_state), NULL);
	g_signal_connect(agent, "new-selected-pair-full", G_CALLBACK(on_selected), NULL);
	stream = nice_agent_add_stream(agent, 1);
	if (bind) {
		NiceAddress address;
		nice_address_init(&address);
		if (!nice_address_set_from_string(&address, bind)) refuse("--bind takes an IP address");
		nice_agent_add_local_address(agent, &address);
	}
	if (turn) add_turn(turn);
	nice_agent_attach_recv(agent, stream, 1, g_main_loop_get_context(loop), on_data, NULL);

	gchar *ufrag, *pwd;
	nice_agent_get_local_credentials(agent, stream, &ufrag, &pwd);
	gchar *text = g_strdup_printf("%s %s", ufrag, pwd);
	say("credentials", text);
	GIOChannel *input = g_io_channel_unix_new(0);
	g_io_channel_set_flags(input, G_IO_FLAG_NONBLOCK, NULL);
	g_io_add_watch(input, G_IO_IN | G_IO_HUP, on_line, NULL);
	if (!hold && !nice_agent_gather_candidates(agent, stream)) refuse("no candidates");
	g_main_loop_run(loop);
	g_object_unref(agent);
	return 0;
}
