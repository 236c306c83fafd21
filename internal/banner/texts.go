package banner

import (
	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
)

// texts are what the banner says in one language, escaped when the program starts. {actor}, {target}, {time} and
// {cause} are filled in.
type texts struct {
	lang      string
	region    string // what the bar is, for screen readers
	sentence  string
	emergency string // before the sentence
	full      string // the mode
	readOnly  string
	reason    string
	minutes   string // left, as the server writes it
	left      string // left, as the script writes it
	stop      string
	extend    string // the button
	// what a length of time is in it
	unitMinutes, unitHours string
	extended, notExtended  string // what became of it
	soon                   string
	over                   string
	changed                string
	fold                   string
	unfold                 string
	up, down               string
	dismiss                string
	ended                  string
	bell, bellLive         string // somebody else used the account
	bellMore               string // {n}
	history                string
	causes                 map[string]string

	script     []byte // what the page's script needs of these, as attributes
	scriptMore []byte // and where the time can be extended
}

// languages are the banner's, the default first.
var languages = [...]*texts{&inEnglish, &inGerman, &inFrench, &inSpanish, &inJapanese}

var inEnglish = texts{
	lang:        "en",
	region:      "Impersonation",
	sentence:    "{actor} is using the account of {target}",
	emergency:   "EMERGENCY, agreed to by nobody:",
	full:        "Full access",
	readOnly:    "Read only",
	reason:      "Reason",
	minutes:     "{time} min left",
	left:        "{time} left",
	stop:        "Return to my account",
	extend:      "Extend {time}",
	unitMinutes: "{time} min", unitHours: "{time} h",
	extended:    "The time was extended: {time} left.",
	notExtended: "The time could not be extended.",
	soon:        "Less than a minute left in the account of {target}.",
	over:        "Your time in the account of {target} is over.",
	changed:     "You are no longer in the account of {target}. This page is out of date.",
	fold:        "Shrink the banner",
	unfold:      "Enlarge the banner",
	up:          "Move the banner to the top",
	down:        "Move the banner to the bottom",
	dismiss:     "Dismiss",
	bell:        "{actor} used your account, {time}",
	bellLive:    "{actor} is using your account, since {time}",
	bellMore:    "(and {n} more)",
	history:     "My access history",
	ended:       "Your impersonation of {target} ended: {cause}. You are in your own account again.",
	causes: map[string]string{
		"":                   "it was ended",
		"stopped":            "you returned",
		"expired":            "time ran out",
		"idle":               "nothing was done for too long",
		"revoked":            "it was ended by somebody else",
		"target_deactivated": "the account was deactivated",
		"actor_deactivated":  "your right to it was withdrawn",
		"policy_changed":     "the rules changed",
		"objection":          "the person did not expect it",
		"logout":             "you logged out",
	},
}

var inGerman = texts{
	lang:        "de",
	region:      "Identitätswechsel",
	sentence:    "{actor} verwendet das Konto von {target}",
	emergency:   "NOTFALL, ohne Zustimmung:",
	full:        "Voller Zugriff",
	readOnly:    "Nur lesen",
	reason:      "Grund",
	minutes:     "noch {time} Min.",
	left:        "noch {time}",
	stop:        "Zurück zu meinem Konto",
	extend:      "Um {time} verlängern",
	unitMinutes: "{time} Min.", unitHours: "{time} Std.",
	extended:    "Die Zeit wurde verlängert: noch {time}.",
	notExtended: "Die Zeit konnte nicht verlängert werden.",
	soon:        "Noch weniger als eine Minute im Konto von {target}.",
	over:        "Ihre Zeit im Konto von {target} ist abgelaufen.",
	changed:     "Sie sind nicht mehr im Konto von {target}. Diese Seite ist veraltet.",
	fold:        "Banner verkleinern",
	unfold:      "Banner vergrößern",
	up:          "Banner nach oben",
	down:        "Banner nach unten",
	dismiss:     "Schließen",
	bell:        "{actor} hat Ihr Konto verwendet, {time}",
	bellLive:    "{actor} verwendet Ihr Konto, seit {time}",
	bellMore:    "(und {n} weitere)",
	history:     "Meine Zugriffe",
	ended:       "Ihr Zugriff auf das Konto von {target} ist beendet: {cause}. Sie sind wieder in Ihrem eigenen Konto.",
	causes: map[string]string{
		"":                   "er wurde beendet",
		"stopped":            "Sie sind zurückgekehrt",
		"expired":            "die Zeit ist abgelaufen",
		"idle":               "zu lange keine Aktivität",
		"revoked":            "jemand anderes hat ihn beendet",
		"target_deactivated": "das Konto wurde deaktiviert",
		"actor_deactivated":  "Ihre Berechtigung wurde entzogen",
		"policy_changed":     "die Regeln wurden geändert",
		"objection":          "die Person hat ihn nicht erwartet",
		"logout":             "Sie haben sich abgemeldet",
	},
}

var inFrench = texts{
	lang:        "fr",
	region:      "Accès au compte d’autrui",
	sentence:    "{actor} utilise le compte de {target}",
	emergency:   "URGENCE, sans accord :",
	full:        "Accès complet",
	readOnly:    "Lecture seule",
	reason:      "Motif",
	minutes:     "encore {time} min",
	left:        "encore {time}",
	stop:        "Revenir à mon compte",
	extend:      "Prolonger de {time}",
	unitMinutes: "{time} min", unitHours: "{time} h",
	extended:    "Le temps a été prolongé : encore {time}.",
	notExtended: "Le temps n’a pas pu être prolongé.",
	soon:        "Moins d’une minute restante dans le compte de {target}.",
	over:        "Votre temps dans le compte de {target} est écoulé.",
	changed:     "Vous n’êtes plus dans le compte de {target}. Cette page n’est plus à jour.",
	fold:        "Réduire le bandeau",
	unfold:      "Agrandir le bandeau",
	up:          "Placer le bandeau en haut",
	down:        "Placer le bandeau en bas",
	dismiss:     "Fermer",
	bell:        "{actor} a utilisé votre compte, {time}",
	bellLive:    "{actor} utilise votre compte, depuis {time}",
	bellMore:    "(et {n} de plus)",
	history:     "Mon historique d’accès",
	ended:       "Votre accès au compte de {target} a pris fin : {cause}. Vous êtes de nouveau dans votre propre compte.",
	causes: map[string]string{
		"":                   "il a été interrompu",
		"stopped":            "vous êtes revenu",
		"expired":            "le temps est écoulé",
		"idle":               "inactivité trop longue",
		"revoked":            "quelqu’un d’autre y a mis fin",
		"target_deactivated": "le compte a été désactivé",
		"actor_deactivated":  "votre droit a été retiré",
		"policy_changed":     "les règles ont changé",
		"objection":          "la personne ne s’y attendait pas",
		"logout":             "vous vous êtes déconnecté",
	},
}

var inSpanish = texts{
	lang:        "es",
	region:      "Acceso a una cuenta ajena",
	sentence:    "{actor} está usando la cuenta de {target}",
	emergency:   "EMERGENCIA, sin acuerdo:",
	full:        "Acceso completo",
	readOnly:    "Solo lectura",
	reason:      "Motivo",
	minutes:     "quedan {time} min",
	left:        "quedan {time}",
	stop:        "Volver a mi cuenta",
	extend:      "Ampliar {time}",
	unitMinutes: "{time} min", unitHours: "{time} h",
	extended:    "Se amplió el tiempo: quedan {time}.",
	notExtended: "No se pudo ampliar el tiempo.",
	soon:        "Queda menos de un minuto en la cuenta de {target}.",
	over:        "Su tiempo en la cuenta de {target} ha terminado.",
	changed:     "Ya no está en la cuenta de {target}. Esta página está desactualizada.",
	fold:        "Reducir el aviso",
	unfold:      "Ampliar el aviso",
	up:          "Mover el aviso arriba",
	down:        "Mover el aviso abajo",
	dismiss:     "Cerrar",
	bell:        "{actor} usó su cuenta, {time}",
	bellLive:    "{actor} está usando su cuenta, desde {time}",
	bellMore:    "(y {n} más)",
	history:     "Mi historial de accesos",
	ended:       "Su acceso a la cuenta de {target} terminó: {cause}. Está de nuevo en su propia cuenta.",
	causes: map[string]string{
		"":                   "fue finalizado",
		"stopped":            "usted volvió",
		"expired":            "se agotó el tiempo",
		"idle":               "demasiado tiempo sin actividad",
		"revoked":            "otra persona lo finalizó",
		"target_deactivated": "la cuenta fue desactivada",
		"actor_deactivated":  "se le retiró el permiso",
		"policy_changed":     "las reglas cambiaron",
		"objection":          "la persona no lo esperaba",
		"logout":             "cerró la sesión",
	},
}

var inJapanese = texts{
	lang:        "ja",
	region:      "代理操作",
	sentence:    "{actor} が {target} のアカウントを使用中",
	emergency:   "緊急(同意なし):",
	full:        "フルアクセス",
	readOnly:    "閲覧のみ",
	reason:      "理由",
	minutes:     "残り {time} 分",
	left:        "残り {time}",
	stop:        "自分のアカウントに戻る",
	extend:      "{time} 延長",
	unitMinutes: "{time} 分", unitHours: "{time} 時間",
	extended:    "時間を延長しました。残り {time}",
	notExtended: "時間を延長できませんでした。",
	soon:        "{target} のアカウントの残り時間は 1 分未満です。",
	over:        "{target} のアカウントの利用時間が終了しました。",
	changed:     "{target} のアカウントはもう使用していません。このページは古くなっています。",
	fold:        "バナーを縮小",
	unfold:      "バナーを拡大",
	up:          "バナーを上へ移動",
	down:        "バナーを下へ移動",
	dismiss:     "閉じる",
	bell:        "{actor} があなたのアカウントを使用しました（{time}）",
	bellLive:    "{actor} があなたのアカウントを使用しています（{time} から）",
	bellMore:    "（ほか {n} 回）",
	history:     "自分のアクセス履歴",
	ended:       "{target} への代理操作は終了しました（{cause}）。自分のアカウントに戻っています。",
	causes: map[string]string{
		"":                   "終了されました",
		"stopped":            "元に戻りました",
		"expired":            "制限時間",
		"idle":               "長時間操作なし",
		"revoked":            "他の人による終了",
		"target_deactivated": "アカウントの無効化",
		"actor_deactivated":  "権限の取り消し",
		"policy_changed":     "規則の変更",
		"objection":          "本人に心当たりなし",
		"logout":             "ログアウト",
	},
}

// textsFor chooses by Accept-Language.
func textsFor(accept string) *texts {
	chosen := lang.Of(accept)
	for _, t := range languages {
		if t.lang == chosen {
			return t
		}
	}
	return languages[0]
}
