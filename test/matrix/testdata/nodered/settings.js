// Node-RED's own way to trust a header: its whole value is given to tokens(). Who deployed what goes to @DIR@/audit.jsonl.
const fs = require("fs");

module.exports = {
	uiHost: "127.0.0.1",
	uiPort: @PORT@,
	userDir: "@DIR@",
	flowFile: "flows.json",
	credentialSecret: "test",
	adminAuth: {
		type: "credentials",
		users: [],
		tokenHeader: "x-remote-user",
		tokens: async (name) => (/^[a-z]+$/.test(name || "") ? { username: name, permissions: "*" } : null),
	},
	logging: {
		console: { level: "info" },
		audit: { level: "off", audit: true, handler: () => (entry) => fs.appendFileSync("@DIR@/audit.jsonl", JSON.stringify(entry) + "\n") },
	},
	telemetry: { enabled: false, updateNotification: false },
	editorTheme: { tours: false },
};
