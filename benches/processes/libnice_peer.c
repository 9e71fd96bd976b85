// One libnice agent on real sockets in the line protocol of `examples/peer.rs`, as much of it as
// `run.py` needs. All options are libnice's defaults, but for UPnP, which looks for a router.

#include <agent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static NiceAgent *agent;
static guint stream;
static GMainLoop *loop;
static GSList *remotes;

static void say(const char *word, const char *rest) {
	printf("%s %s\n", word, rest);
	fflush(stdout);
}

static void refuse(const char *why) {
	fprintf(stderr, "libnice-peer: %s\n", why);
	exit(2);
}

static void on_gathered(NiceAgent *self, guint id, gpointer user) {
	(void)user;
	for (GSList *each = nice_agent_get_local_candidates(self, id, 1); each; each = each->next) {
		gchar *sdp = nice_agent_generate_local_candidate_sdp(self, each->data);
		const char *value = strchr(sdp, ':');
		say("candidate", value ? value + 1 : sdp);
		g_free(sdp);
	}
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
		} else if (!strcmp(line, "end-of-candidates")) {
			nice_agent_set_remote_candidates(agent, stream, 1, remotes);
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

int main(int argc, char **argv) {
	const char *role = NULL, *bind = NULL;
	for (int i = 1; i < argc; i += 2) {
		if (i + 1 == argc) refuse("a flag without its value");
		if (!strcmp(argv[i], "--role")) role = argv[i + 1];
		else if (!strcmp(argv[i], "--bind")) bind = argv[i + 1];
		else refuse("no such flag");
	}
	if (!role || (strcmp(role, "controlling") && strcmp(role, "controlled")))
		refuse("--role is needed");
	loop = g_main_loop_new(NULL, FALSE);
	agent = nice_agent_new(g_main_loop_get_context(loop), NICE_COMPATIBILITY_RFC5245);
	g_object_set(agent, "controlling-mode", !strcmp(role, "controlling"), "upnp", FALSE, NULL);
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
	nice_agent_attach_recv(agent, stream, 1, g_main_loop_get_context(loop), on_data, NULL);

	gchar *ufrag, *pwd;
	nice_agent_get_local_credentials(agent, stream, &ufrag, &pwd);
	gchar *text = g_strdup_printf("%s %s", ufrag, pwd);
	say("credentials", text);
	GIOChannel *input = g_io_channel_unix_new(0);
	g_io_channel_set_flags(input, G_IO_FLAG_NONBLOCK, NULL);
	g_io_add_watch(input, G_IO_IN | G_IO_HUP, on_line, NULL);
	if (!nice_agent_gather_candidates(agent, stream)) refuse("no candidates");
	g_main_loop_run(loop);
	g_object_unref(agent);
	return 0;
}
