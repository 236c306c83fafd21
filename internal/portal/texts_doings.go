package portal

import (
	"fmt"

	"github.com/seed-240d5494/caddy-impersonate/internal/impersonation"
	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
)

// doingsTexts are the words of what somebody did as others, in one language. Counts has three numbers: requests, changes,
// refusals.
type doingsTexts struct {
	Used, Mine                 string // the two parts of "My access history"
	Title, Lead                string
	NoneTitle, None, ToPeople  string
	Lost, First, Counts, Empty string
	// How it ended, where the words for others are about them and not about who reads.
	Returned, LoggedOut, Deactivated string
}

// cause is why it ended, said to whom it was; other is what is said of it to others.
func (t *doingsTexts) cause(cause, other string) string {
	switch cause {
	case impersonation.CauseStopped:
		return t.Returned
	case impersonation.CauseLogout:
		return t.LoggedOut
	case impersonation.CauseActorDeactivated:
		return t.Deactivated
	}
	return other
}

// Count tells how much was done.
func (t *doingsTexts) Count(requests, writes, refusals uint64) string {
	return fmt.Sprintf(t.Counts, requests, writes, refusals)
}

var doingsLanguages = lang.Texts[*doingsTexts]{
	"en": {
		Used: "Who used my account", Mine: "What I did as others", Title: "What I did as others", Lead: "Whose account you used, when and why, and how it ended.",
		NoneTitle: "You have used nobody’s account", None: "When you log in as somebody else, it is recorded, and you find it here.", ToPeople: "To the people",
		Lost: "The record can’t be read right now. This is what the gateway knows without it; older ones and numbers are missing.", First: "Back to the newest",
		Counts: "Requests: %d · changes: %d · refused: %d", Empty: "Nobody has used your account",
		Returned: "you returned to your own account", LoggedOut: "you logged out", Deactivated: "your own account was deactivated",
	},
	"de": {
		Used: "Wer mein Konto verwendet hat", Mine: "Was ich als andere getan habe", Title: "Was ich als andere getan habe", Lead: "Wessen Konto Sie verwendet haben, wann und warum, und wie es endete.",
		NoneTitle: "Sie haben kein fremdes Konto verwendet", None: "Wenn Sie sich als jemand anderes anmelden, wird es aufgezeichnet, und Sie finden es hier.", ToPeople: "Zu den Personen",
		Lost: "Die Aufzeichnung kann gerade nicht gelesen werden. Hier steht, was das Gateway ohne sie weiß; Älteres und Zahlen fehlen.", First: "Zurück zum Neuesten",
		Counts: "Anfragen: %d · Änderungen: %d · verweigert: %d", Empty: "Niemand hat Ihr Konto verwendet",
		Returned: "Rückkehr in Ihr eigenes Konto", LoggedOut: "Abmeldung", Deactivated: "Ihr eigenes Konto wurde deaktiviert",
	},
	"fr": {
		Used: "Qui a utilisé mon compte", Mine: "Ce que j’ai fait pour d’autres", Title: "Ce que j’ai fait dans d’autres comptes", Lead: "Quels comptes vous avez utilisés, quand et pourquoi, et comment cela s’est terminé.",
		NoneTitle: "Vous n’avez utilisé le compte de personne", None: "Quand vous vous connectez en tant que quelqu’un d’autre, c’est enregistré, et vous le retrouvez ici.", ToPeople: "Vers les personnes",
		Lost: "Le journal ne peut pas être lu pour le moment. Voici ce que la passerelle sait sans lui ; les plus anciens et les nombres manquent.", First: "Retour aux plus récents",
		Counts: "Requêtes : %d · modifications : %d · refusées : %d", Empty: "Personne n’a utilisé votre compte",
		Returned: "retour à votre propre compte", LoggedOut: "déconnexion", Deactivated: "votre propre compte a été désactivé",
	},
	"es": {
		Used: "Quién usó mi cuenta", Mine: "Lo que hice como otras personas", Title: "Lo que hice como otras personas", Lead: "Qué cuentas usó, cuándo y por qué, y cómo terminó.",
		NoneTitle: "No ha usado la cuenta de nadie", None: "Cuando entra como otra persona queda registrado, y lo encuentra aquí.", ToPeople: "Ir a las personas",
		Lost: "El registro no puede leerse ahora. Esto es lo que el gateway sabe sin él; faltan los más antiguos y los números.", First: "Volver a los más recientes",
		Counts: "Peticiones: %d · cambios: %d · rechazadas: %d", Empty: "Nadie ha usado su cuenta",
		Returned: "volvió a su propia cuenta", LoggedOut: "cerró la sesión", Deactivated: "su propia cuenta fue desactivada",
	},
	"ja": {
		Used: "自分のアカウントを使用した人", Mine: "他の人として行った操作", Title: "他の人として行った操作", Lead: "誰のアカウントを、いつ、なぜ使用し、どのように終わったか。",
		NoneTitle: "他の人のアカウントは使用していません", None: "他の人としてログインすると記録され、ここに表示されます。", ToPeople: "ユーザー一覧へ",
		Lost: "現在、記録を読み取れません。ゲートウェイが把握している内容のみを表示しています。古いものと件数は表示されません。", First: "最新に戻る",
		Counts: "リクエスト:%d · 変更:%d · 拒否:%d", Empty: "あなたのアカウントは誰にも使用されていません",
		Returned: "自分のアカウントに戻った", LoggedOut: "ログアウト", Deactivated: "自分のアカウントの無効化",
	},
}
