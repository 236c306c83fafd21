package portal

import "github.com/seed-240d5494/caddy-impersonate/internal/lang"

// historyTexts are the words of "My access history".
type historyTexts struct {
	Title, Lead, Nobody, Now, Reason, Ticket, Ended, Emergency string
	Done, Refused, Unknown, More, Change                       string
	Object, Objected, SaidAlert, SaidLocked                    string
	AboutTitle, About, WhoMay, NobodyMay                       string
	modes                                                      map[string]string
}

var allHistoryTexts = lang.Texts[*historyTexts]{
	"en": {
		Title: "My access history", Lead: "Who used your account, when and why.", Nobody: "Nobody has used your account.",
		Now: "right now", Reason: "Reason", Ticket: "Ticket", Ended: "Ended", Emergency: "Emergency",
		Done: "What was done in your name", Refused: "refused", Change: "Changed something", Unknown: "What was done can’t be shown right now.", More: "Show older ones",
		Object: "I did not expect this", Objected: "You said that you did not expect this.",
		SaidAlert: "Thank you. Those in charge have been told.", SaidLocked: "Thank you. It was ended, this person can’t use your account again for now, and those in charge have been told.",
		AboutTitle: "Who may use my account", About: "Some people may use other accounts, to help. Whenever somebody uses yours it is recorded under their own name, with their reason, and you find it here.",
		WhoMay: "These may, as the rules are now:", NobodyMay: "As the rules are now, nobody may use your account.",
		modes: map[string]string{"full": "Full access", "read_only": "Read only"},
	},
	"de": {
		Title: "Meine Zugriffe", Lead: "Wer Ihr Konto verwendet hat, wann und warum.", Nobody: "Niemand hat Ihr Konto verwendet.",
		Now: "gerade jetzt", Reason: "Grund", Ticket: "Ticket", Ended: "Ende", Emergency: "Notfall",
		Done: "Was in Ihrem Namen getan wurde", Refused: "verweigert", Change: "Etwas geändert", Unknown: "Was getan wurde, kann gerade nicht angezeigt werden.", More: "Ältere anzeigen",
		Object: "Das habe ich nicht erwartet", Objected: "Sie haben angegeben, das nicht erwartet zu haben.",
		SaidAlert: "Danke. Die Verantwortlichen wurden verständigt.", SaidLocked: "Danke. Der Zugriff wurde beendet, diese Person kann Ihr Konto vorerst nicht mehr verwenden, und die Verantwortlichen wurden verständigt.",
		AboutTitle: "Wer mein Konto verwenden darf", About: "Manche Personen dürfen andere Konten verwenden, um zu helfen. Immer wenn jemand Ihres verwendet, wird das unter dem Namen dieser Person mit dem Grund aufgezeichnet, und Sie finden es hier.",
		WhoMay: "Nach den jetzigen Regeln dürfen das:", NobodyMay: "Nach den jetzigen Regeln darf niemand Ihr Konto verwenden.",
		modes: map[string]string{"full": "Voller Zugriff", "read_only": "Nur lesen"},
	},
	"fr": {
		Title: "Mon historique d’accès", Lead: "Qui a utilisé votre compte, quand et pourquoi.", Nobody: "Personne n’a utilisé votre compte.",
		Now: "en ce moment", Reason: "Motif", Ticket: "Ticket", Ended: "Fin", Emergency: "Urgence",
		Done: "Ce qui a été fait en votre nom", Refused: "refusé", Change: "A modifié quelque chose", Unknown: "Ce qui a été fait ne peut pas être affiché pour le moment.", More: "Afficher les plus anciens",
		Object: "Je ne m’y attendais pas", Objected: "Vous avez dit que vous ne vous y attendiez pas.",
		SaidAlert: "Merci. Les responsables ont été prévenus.", SaidLocked: "Merci. L’accès a été interrompu, cette personne ne peut plus utiliser votre compte pour l’instant, et les responsables ont été prévenus.",
		AboutTitle: "Qui peut utiliser mon compte", About: "Certaines personnes peuvent utiliser d’autres comptes, pour aider. Chaque fois que quelqu’un utilise le vôtre, c’est enregistré sous son propre nom, avec le motif, et vous le retrouvez ici.",
		WhoMay: "Selon les règles actuelles, peuvent le faire :", NobodyMay: "Selon les règles actuelles, personne ne peut utiliser votre compte.",
		modes: map[string]string{"full": "Accès complet", "read_only": "Lecture seule"},
	},
	"es": {
		Title: "Mi historial de accesos", Lead: "Quién usó su cuenta, cuándo y por qué.", Nobody: "Nadie ha usado su cuenta.",
		Now: "ahora mismo", Reason: "Motivo", Ticket: "Tique", Ended: "Fin", Emergency: "Emergencia",
		Done: "Lo que se hizo en su nombre", Refused: "rechazado", Change: "Cambió algo", Unknown: "Lo que se hizo no se puede mostrar en este momento.", More: "Mostrar más antiguos",
		Object: "No me lo esperaba", Objected: "Usted dijo que no lo esperaba.",
		SaidAlert: "Gracias. Se ha avisado a los responsables.", SaidLocked: "Gracias. Se ha interrumpido, esa persona no puede volver a usar su cuenta por ahora, y se ha avisado a los responsables.",
		AboutTitle: "Quién puede usar mi cuenta", About: "Algunas personas pueden usar otras cuentas, para ayudar. Siempre que alguien usa la suya queda registrado con su propio nombre y su motivo, y usted lo encuentra aquí.",
		WhoMay: "Según las reglas actuales, pueden hacerlo:", NobodyMay: "Según las reglas actuales, nadie puede usar su cuenta.",
		modes: map[string]string{"full": "Acceso completo", "read_only": "Solo lectura"},
	},
	"ja": {
		Title: "自分のアクセス履歴", Lead: "誰が、いつ、なぜあなたのアカウントを使用したか。", Nobody: "あなたのアカウントは誰にも使用されていません。",
		Now: "現在使用中", Reason: "理由", Ticket: "チケット", Ended: "終了", Emergency: "緊急",
		Done: "あなたの名前で行われた操作", Refused: "拒否", Change: "変更を行った", Unknown: "行われた操作は現在表示できません。", More: "以前の履歴を表示",
		Object: "心当たりがありません", Objected: "心当たりがないと申し出済みです。",
		SaidAlert: "ありがとうございます。責任者に通知しました。", SaidLocked: "ありがとうございます。使用は終了され、この人は当面あなたのアカウントを使用できません。責任者に通知しました。",
		AboutTitle: "自分のアカウントを使用できる人", About: "サポートのため、他の人のアカウントを使用できる人がいます。あなたのアカウントが使用されるたびに、その人自身の名前と理由が記録され、ここに表示されます。",
		WhoMay: "現在の規則では、次の人が使用できます。", NobodyMay: "現在の規則では、誰もあなたのアカウントを使用できません。",
		modes: map[string]string{"full": "フルアクセス", "read_only": "閲覧のみ"},
	},
}

// reviewTexts are the words of the review.
type reviewTexts struct {
	Title, Lead, All, Waiting, Nothing, More         string
	Now, Reason, Ticket, Ended, Reviewed, Note, Mark string
	Locks, Unlock                                    string
	modes                                            map[string]string
}

var allReviewTexts = lang.Texts[*reviewTexts]{
	"en": {
		Title: "Review", Lead: "Who used whose account, and who has looked at it.", All: "Show all", Waiting: "Only emergencies and objections nobody has reviewed",
		Nothing: "There is nothing to review.", More: "Show older ones", Now: "right now", Reason: "Reason", Ticket: "Ticket", Ended: "Ended", Reviewed: "Reviewed", Note: "Note", Mark: "Mark as reviewed",
		Locks: "Kept apart after an objection", Unlock: "Lift the lock", modes: map[string]string{"full": "Full access", "read_only": "Read only"},
	},
	"de": {
		Title: "Prüfung", Lead: "Wer wessen Konto verwendet hat, und wer es geprüft hat.", All: "Alle anzeigen", Waiting: "Nur ungeprüfte Notfälle und Einwände",
		Nothing: "Es gibt nichts zu prüfen.", More: "Ältere anzeigen", Now: "gerade jetzt", Reason: "Grund", Ticket: "Ticket", Ended: "Ende", Reviewed: "Geprüft", Note: "Anmerkung", Mark: "Als geprüft markieren",
		Locks: "Nach einem Einwand gesperrt", Unlock: "Sperre aufheben", modes: map[string]string{"full": "Voller Zugriff", "read_only": "Nur lesen"},
	},
	"fr": {
		Title: "Examen", Lead: "Qui a utilisé le compte de qui, et qui l’a examiné.", All: "Tout afficher", Waiting: "Seulement les urgences et objections non examinées",
		Nothing: "Il n’y a rien à examiner.", More: "Afficher les plus anciens", Now: "en ce moment", Reason: "Motif", Ticket: "Ticket", Ended: "Fin", Reviewed: "Examiné", Note: "Remarque", Mark: "Marquer comme examiné",
		Locks: "Bloqués après une objection", Unlock: "Lever le blocage", modes: map[string]string{"full": "Accès complet", "read_only": "Lecture seule"},
	},
	"es": {
		Title: "Revisión", Lead: "Quién usó la cuenta de quién, y quién lo ha revisado.", All: "Mostrar todo", Waiting: "Solo emergencias y objeciones sin revisar",
		Nothing: "No hay nada que revisar.", More: "Mostrar más antiguos", Now: "ahora mismo", Reason: "Motivo", Ticket: "Tique", Ended: "Fin", Reviewed: "Revisado", Note: "Nota", Mark: "Marcar como revisado",
		Locks: "Bloqueados tras una objeción", Unlock: "Levantar el bloqueo", modes: map[string]string{"full": "Acceso completo", "read_only": "Solo lectura"},
	},
	"ja": {
		Title: "確認", Lead: "誰が誰のアカウントを使用し、誰が確認したか。", All: "すべて表示", Waiting: "未確認の緊急使用と申し出のみ",
		Nothing: "確認するものはありません。", More: "以前のものを表示", Now: "現在使用中", Reason: "理由", Ticket: "チケット", Ended: "終了", Reviewed: "確認済み", Note: "メモ", Mark: "確認済みにする",
		Locks: "申し出によりロック中", Unlock: "ロックを解除", modes: map[string]string{"full": "フルアクセス", "read_only": "閲覧のみ"},
	},
}
