// One libjuice agent on real sockets in the line protocol of `examples/peer.rs`, as much of it as
// `connect.py` needs.
//
// libjuice has no setting for the role: whoever tells its description or gathers first controls. So
// the controlled side does both when it knows the other's credentials; with --hold it gathers only
// when the line `gather` comes.

#include <juice/juice.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say(const char *word, const char *rest) {
	// One call a line: libjuice calls back on a thread of its own.
	printf("%s %s\n", word, rest);
	fflush(stdout);
}

static void refuse(const char *why) {
	fprintf(stderr, "libjuice-peer: %s\n", why);
	exit(2);
}

static void on_state(juice_agent_t *agent, juice_state_t state, void *user) {
	(void)user;
	if (state == JUICE_STATE_CONNECTED) {
		say("state", "connected");
	} else if (state == JUICE_STATE_COMPLETED) {
		// Only now is the pair nominated.
		char local[JUICE_MAX_ADDRESS_STRING_LEN], remote[JUICE_MAX_ADDRESS_STRING_LEN];
		char text[2 * JUICE_MAX_ADDRESS_STRING_LEN + 16];
		say("state", "completed");
		if (juice_get_selected_addresses(agent, local, sizeof local, remote, sizeof remote) == 0) {
			snprintf(text, sizeof text, "%s %s host host udp", local, remote);
			say("selected", text);
		}
	} else if (state == JUICE_STATE_FAILED) {
		say("state", "failed");
	}
}

static void on_candidate(juice_agent_t *agent, const char *sdp, void *user) {
	(void)agent, (void)user;
	const char *value = strchr(sdp, ':');
	say("candidate", value ? value + 1 : sdp);
}

static void on_gathered(juice_agent_t *agent, void *user) {
	(void)agent, (void)user;
	puts("end-of-candidates");
	fflush(stdout);
}

// Prints the credentials, which the description begins with.
static void say_credentials(juice_agent_t *agent) {
	char sdp[JUICE_MAX_SDP_STRING_LEN], ufrag[300] = "", pwd[300] = "", text[700];
	juice_get_local_description(agent, sdp, sizeof sdp);
	for (char *line = strtok(sdp, "\r\n"); line; line = strtok(NULL, "\r\n")) {
		sscanf(line, "a=ice-ufrag:%299s", ufrag);
		sscanf(line, "a=ice-pwd:%299s", pwd);
	}
	snprintf(text, sizeof text, "%s %s", ufrag, pwd);
	say("credentials", text);
}

// Cuts HOST:PORT, and returns the port.
static uint16_t cut_port(char *place) {
	char *colon = strrchr(place, ':');
	if (!colon) refuse("HOST:PORT is wanted");
	*colon = 0;
	return (uint16_t)atoi(colon + 1);
}

// Cuts USER:PASS@HOST:PORT.
static void take_turn(juice_turn_server_t *server, char *text) {
	char *at = strrchr(text, '@'), *colon = strchr(text, ':');
	if (!at || !colon || colon > at) refuse("USER:PASS@HOST:PORT is wanted");
	*at = *colon = 0;
	server->username = text;
	server->password = colon + 1;
	server->port = cut_port(at + 1);
	server->host = at + 1;
}

int main(int argc, char **argv) {
	const char *role = NULL;
	bool hold = false;
	juice_turn_server_t turn = {0};
	juice_config_t config = {.concurrency_mode = JUICE_CONCURRENCY_MODE_POLL};
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--hold")) {
			hold = true;
			continue;
		}
		if (i + 1 == argc) refuse("a flag without its value");
		char *flag = argv[i], *value = argv[++i];
		if (!strcmp(flag, "--role")) {
			role = value;
		} else if (!strcmp(flag, "--bind")) {
			config.bind_address = value;
		} else if (!strcmp(flag, "--stun")) {
			config.stun_server_port = cut_port(value);
			config.stun_server_host = value;
		} else if (!strcmp(flag, "--turn")) {
			take_turn(&turn, value);
			config.turn_servers = &turn;
			config.turn_servers_count = 1;
		} else {
			refuse("no such flag");
		}
	}
	bool controlling = role && !strcmp(role, "controlling");
	if (!controlling && !(role && !strcmp(role, "controlled"))) refuse("--role is needed");
	config.cb_state_changed = on_state;
	config.cb_candidate = on_candidate;
	config.cb_gathering_done = on_gathered;
	juice_set_log_level(JUICE_LOG_LEVEL_ERROR);
	juice_agent_t *agent = juice_create(&config);
	if (!agent) refuse("no agent");
	if (controlling) {
		say_credentials(agent);
		if (!hold) juice_gather_candidates(agent);
	}

	char line[1024], sdp[1100], ufrag[300], pwd[300];
	bool known = false;
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\r\n")] = 0;
		if (!known && sscanf(line, "credentials %299s %299s", ufrag, pwd) == 2) {
			snprintf(sdp, sizeof sdp, "a=ice-ufrag:%s\r\na=ice-pwd:%s\r\n", ufrag, pwd);
			if (juice_set_remote_description(agent, sdp)) say("error", line);
			if (!controlling) {
				say_credentials(agent);
				if (!hold) juice_gather_candidates(agent);
			}
			known = true;
		} else if (!strncmp(line, "candidate ", 10)) {
			snprintf(sdp, sizeof sdp, "a=candidate:%s", line + 10);
			if (juice_add_remote_candidate(agent, sdp)) say("error", line);
		} else if (!strcmp(line, "end-of-candidates")) {
			juice_set_remote_gathering_done(agent);
		} else if (!strcmp(line, "gather")) {
			juice_gather_candidates(agent);
		} else if (!strcmp(line, "close")) {
			break;
		}
	}
	juice_destroy(agent);
	return 0;
}
