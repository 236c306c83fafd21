package notify

import (
	"strconv"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
)

// words are what notices say in one language. {actor}, {target}, {site}, {by}, {expires} and {to} are filled in.
type words struct {
	greeting, footer string

	started, startedMine             copyText
	ended, endedMine                 copyText
	approval, consent                copyText
	granted, declined, expired       copyText
	emergency, emergencyMine         copyText
	objection                        copyText
	objectionEnded, locked           string // what followed an objection
	digest                           copyText
	actor, target, reason            string // labels
	ticket, access, when, endedLabel string
	atMost, decidedBy, note          string
	site, week, total                string
	unusual, unreviewed, others      string
	hours, minutes, seconds          string // {n}
	modes                            map[string]string
	causes                           map[string]string
	oddities                         map[string]string
}

type copyText struct{ subject, lead, more, action string }

// of chooses what to say; mine: to the person whose account it is.
func (w *words) of(m *Message, mine bool) copyText {
	either := func(yes bool, a, b copyText) copyText {
		if yes {
			return a
		}
		return b
	}
	switch m.Kind {
	case KindStarted:
		return either(mine, w.startedMine, w.started)
	case KindEnded:
		return either(mine, w.endedMine, w.ended)
	case KindApprovalRequest:
		return w.approval
	case KindConsentRequest:
		return w.consent
	case KindRequestDecided:
		switch m.Decision {
		case "granted":
			return w.granted
		case "expired":
			return w.expired
		}
		return w.declined
	case KindEmergencyStarted:
		return either(mine, w.emergencyMine, w.emergency)
	case KindObjection:
		c := w.objection
		switch m.Consequence {
		case "ended":
			c.more = w.objectionEnded
		case "locked":
			c.more = w.locked
		}
		return c
	case KindDigest:
		return w.digest
	}
	return copyText{subject: string(m.Kind), lead: string(m.Kind)}
}

// length is a length of time, rounded to what a person cares about.
func (w *words) length(d time.Duration) string {
	n := func(s string, v time.Duration) string {
		return strings.ReplaceAll(s, "{n}", strconv.FormatInt(int64(v), 10))
	}
	switch d = d.Round(time.Second); {
	case d <= 0:
		return ""
	case d < time.Minute:
		return n(w.seconds, d/time.Second)
	case d < time.Hour:
		return n(w.minutes, d/time.Minute)
	case d%time.Hour < time.Minute:
		return n(w.hours, d/time.Hour)
	}
	return n(w.hours, d/time.Hour) + " " + n(w.minutes, d%time.Hour/time.Minute)
}

var allWords = lang.Texts[*words]{"en": &english, "de": &german, "fr": &french, "es": &spanish, "ja": &japanese}

var english = words{
	greeting:       "Hello {to},",
	footer:         "Sent by the access gateway of {site}. Everything done in somebody else’s account is recorded under the name of who did it.",
	started:        copyText{"{actor} is using the account of {target}", "{actor} has started to use the account of {target} on {site}.", "What they do there is recorded under their own name.", "See who is using whose account"},
	startedMine:    copyText{"{actor} is using your account", "{actor} has started to use your account on {site}.", "What they do there is recorded under their own name. If you did not expect this, say so on the page below: those in charge are told at once.", "See my access history"},
	ended:          copyText{"{actor} used the account of {target}", "{actor} has used the account of {target} on {site}. It is over.", "", "See who used whose account"},
	endedMine:      copyText{"{actor} used your account", "{actor} has used your account on {site}. It is over.", "You can see what was done in your name. If you did not expect this, say so there.", "See my access history"},
	approval:       copyText{"{actor} asks to use the account of {target}", "{actor} wants to use the account of {target} on {site} and needs your approval.", "Without an answer the request ends by itself ({expires}).", "Look at the request"},
	consent:        copyText{"{actor} asks to use your account", "{actor} wants to use your account on {site}. It happens only if you agree.", "Without an answer the request ends by itself ({expires}).", "Look at the request"},
	granted:        copyText{"You may use the account of {target}", "Your request to use the account of {target} on {site} was granted.", "", "Go on"},
	declined:       copyText{"You may not use the account of {target}", "Your request to use the account of {target} on {site} was declined.", "", "See the request"},
	expired:        copyText{"Nobody answered your request for the account of {target}", "Your request to use the account of {target} on {site} has expired: nobody answered it in time.", "", "See the request"},
	emergency:      copyText{"Emergency: {actor} is using the account of {target}", "{actor} has started to use the account of {target} on {site} as an emergency, without approval.", "Somebody in charge has to review it.", "Review it"},
	emergencyMine:  copyText{"Emergency: {actor} is using your account", "{actor} has started to use your account on {site} as an emergency, without approval.", "Those in charge were told and have to review it. If you did not expect this, say so on the page below.", "See my access history"},
	objection:      copyText{"{target} did not expect that {actor} used their account", "{target} says that they did not expect {actor} to use their account on {site}.", "Nothing was ended: please find out what happened.", "Review it"},
	objectionEnded: "It was ended. Please find out what happened.",
	locked:         "It was ended, and {actor} can’t use that account again until an owner lifts the lock. Please find out what happened.",
	digest:         copyText{"Who used whose account last week", "These accounts were used by somebody else last week, the unusual ones first.", "", "Review them"},
	actor:          "Who", target: "Account of", reason: "Reason", ticket: "Ticket", access: "Access", when: "When", endedLabel: "Ended", atMost: "At most",
	decidedBy: "Decided by", note: "Note", site: "Site", week: "Week", total: "In all", unusual: "Unusual", unreviewed: "Emergency starts nobody has reviewed",
	others: "and {n} more", hours: "{n} h", minutes: "{n} min", seconds: "{n} s",
	modes: map[string]string{"full": "Full access", "read_only": "Read only"},
	causes: map[string]string{
		"stopped": "they returned to their own account", "expired": "the time was up", "idle": "nothing was done for a while", "revoked": "somebody in charge ended it",
		"target_deactivated": "the account was deactivated", "actor_deactivated": "their own account was deactivated", "policy_changed": "the rules changed",
		"logout": "they logged out", "objection": "the person did not expect it", "start_failed": "it never took effect",
	},
	oddities: map[string]string{
		OddEmergency: "emergency", OddObjection: "not expected by the person", OddOutOfHours: "out of hours", OddFirst: "for the first time",
		OddLong: "very long", OddMany: "many accounts in a day", OddRefusals: "much was refused", OddUnreviewed: "not reviewed yet",
	},
}

var german = words{
	greeting:       "Guten Tag {to},",
	footer:         "Gesendet vom Zugangs-Gateway von {site}. Alles, was jemand im Konto eines anderen tut, wird unter dem eigenen Namen aufgezeichnet.",
	started:        copyText{"{actor} verwendet das Konto von {target}", "{actor} verwendet seit eben das Konto von {target} auf {site}.", "Was dort geschieht, wird unter dem Namen dieser Person aufgezeichnet.", "Ansehen, wer wessen Konto verwendet"},
	startedMine:    copyText{"{actor} verwendet Ihr Konto", "{actor} verwendet seit eben Ihr Konto auf {site}.", "Was dort geschieht, wird unter dem Namen dieser Person aufgezeichnet. Wenn Sie das nicht erwartet haben, sagen Sie es auf der folgenden Seite: Die Verantwortlichen erfahren es sofort.", "Meine Zugriffe ansehen"},
	ended:          copyText{"{actor} hat das Konto von {target} verwendet", "{actor} hat das Konto von {target} auf {site} verwendet. Das ist beendet.", "", "Ansehen, wer wessen Konto verwendet hat"},
	endedMine:      copyText{"{actor} hat Ihr Konto verwendet", "{actor} hat Ihr Konto auf {site} verwendet. Das ist beendet.", "Sie können ansehen, was in Ihrem Namen getan wurde. Wenn Sie das nicht erwartet haben, sagen Sie es dort.", "Meine Zugriffe ansehen"},
	approval:       copyText{"{actor} möchte das Konto von {target} verwenden", "{actor} möchte das Konto von {target} auf {site} verwenden und braucht Ihre Freigabe.", "Ohne Antwort verfällt die Anfrage ({expires}).", "Anfrage ansehen"},
	consent:        copyText{"{actor} möchte Ihr Konto verwenden", "{actor} möchte Ihr Konto auf {site} verwenden. Das geschieht nur, wenn Sie zustimmen.", "Ohne Antwort verfällt die Anfrage ({expires}).", "Anfrage ansehen"},
	granted:        copyText{"Sie dürfen das Konto von {target} verwenden", "Ihre Anfrage, das Konto von {target} auf {site} zu verwenden, wurde freigegeben.", "", "Weiter"},
	declined:       copyText{"Sie dürfen das Konto von {target} nicht verwenden", "Ihre Anfrage, das Konto von {target} auf {site} zu verwenden, wurde abgelehnt.", "", "Anfrage ansehen"},
	expired:        copyText{"Niemand hat Ihre Anfrage zum Konto von {target} beantwortet", "Ihre Anfrage, das Konto von {target} auf {site} zu verwenden, ist verfallen: Niemand hat rechtzeitig geantwortet.", "", "Anfrage ansehen"},
	emergency:      copyText{"Notfall: {actor} verwendet das Konto von {target}", "{actor} verwendet seit eben das Konto von {target} auf {site} als Notfall, ohne Freigabe.", "Eine verantwortliche Person muss das prüfen.", "Prüfen"},
	emergencyMine:  copyText{"Notfall: {actor} verwendet Ihr Konto", "{actor} verwendet seit eben Ihr Konto auf {site} als Notfall, ohne Freigabe.", "Die Verantwortlichen wurden verständigt und müssen das prüfen. Wenn Sie das nicht erwartet haben, sagen Sie es auf der folgenden Seite.", "Meine Zugriffe ansehen"},
	objection:      copyText{"{target} hat nicht erwartet, dass {actor} das Konto verwendet", "{target} gibt an, nicht erwartet zu haben, dass {actor} das Konto auf {site} verwendet.", "Es wurde nichts beendet: Bitte klären Sie, was geschehen ist.", "Prüfen"},
	objectionEnded: "Der Zugriff wurde beendet. Bitte klären Sie, was geschehen ist.",
	locked:         "Der Zugriff wurde beendet, und {actor} kann dieses Konto nicht mehr verwenden, bis ein Eigentümer die Sperre aufhebt. Bitte klären Sie, was geschehen ist.",
	digest:         copyText{"Wer letzte Woche wessen Konto verwendet hat", "Diese Konten wurden letzte Woche von anderen verwendet, das Ungewöhnliche zuerst.", "", "Prüfen"},
	actor:          "Wer", target: "Konto von", reason: "Grund", ticket: "Ticket", access: "Zugriff", when: "Wann", endedLabel: "Beendet", atMost: "Höchstens",
	decidedBy: "Entschieden von", note: "Anmerkung", site: "Website", week: "Woche", total: "Insgesamt", unusual: "Ungewöhnlich", unreviewed: "Ungeprüfte Notfälle",
	others: "und {n} weitere", hours: "{n} Std.", minutes: "{n} Min.", seconds: "{n} Sek.",
	modes: map[string]string{"full": "Voller Zugriff", "read_only": "Nur lesen"},
	causes: map[string]string{
		"stopped": "Rückkehr ins eigene Konto", "expired": "die Zeit war abgelaufen", "idle": "längere Zeit keine Aktivität", "revoked": "von einer verantwortlichen Person beendet",
		"target_deactivated": "das Konto wurde deaktiviert", "actor_deactivated": "das eigene Konto wurde deaktiviert", "policy_changed": "die Regeln wurden geändert",
		"logout": "Abmeldung", "objection": "die Person hat es nicht erwartet", "start_failed": "kam nicht zustande",
	},
	oddities: map[string]string{
		OddEmergency: "Notfall", OddObjection: "von der Person nicht erwartet", OddOutOfHours: "außerhalb der Arbeitszeit", OddFirst: "zum ersten Mal",
		OddLong: "sehr lang", OddMany: "viele Konten an einem Tag", OddRefusals: "vieles wurde verweigert", OddUnreviewed: "noch nicht geprüft",
	},
}

var french = words{
	greeting:       "Bonjour {to},",
	footer:         "Envoyé par la passerelle d’accès de {site}. Tout ce qui est fait dans le compte d’autrui est enregistré au nom de la personne qui l’a fait.",
	started:        copyText{"{actor} utilise le compte de {target}", "{actor} vient de commencer à utiliser le compte de {target} sur {site}.", "Ce qui y est fait est enregistré sous son propre nom.", "Voir qui utilise le compte de qui"},
	startedMine:    copyText{"{actor} utilise votre compte", "{actor} vient de commencer à utiliser votre compte sur {site}.", "Ce qui y est fait est enregistré sous son propre nom. Si vous ne vous y attendiez pas, dites-le sur la page ci-dessous : les responsables sont prévenus aussitôt.", "Voir mon historique d’accès"},
	ended:          copyText{"{actor} a utilisé le compte de {target}", "{actor} a utilisé le compte de {target} sur {site}. C’est terminé.", "", "Voir qui a utilisé le compte de qui"},
	endedMine:      copyText{"{actor} a utilisé votre compte", "{actor} a utilisé votre compte sur {site}. C’est terminé.", "Vous pouvez voir ce qui a été fait en votre nom. Si vous ne vous y attendiez pas, dites-le sur cette page.", "Voir mon historique d’accès"},
	approval:       copyText{"{actor} demande à utiliser le compte de {target}", "{actor} souhaite utiliser le compte de {target} sur {site} et a besoin de votre accord.", "Sans réponse, la demande prend fin d’elle-même ({expires}).", "Voir la demande"},
	consent:        copyText{"{actor} demande à utiliser votre compte", "{actor} souhaite utiliser votre compte sur {site}. Cela ne se fera que si vous acceptez.", "Sans réponse, la demande prend fin d’elle-même ({expires}).", "Voir la demande"},
	granted:        copyText{"Vous pouvez utiliser le compte de {target}", "Votre demande d’utiliser le compte de {target} sur {site} a été acceptée.", "", "Continuer"},
	declined:       copyText{"Vous ne pouvez pas utiliser le compte de {target}", "Votre demande d’utiliser le compte de {target} sur {site} a été refusée.", "", "Voir la demande"},
	expired:        copyText{"Personne n’a répondu à votre demande pour le compte de {target}", "Votre demande d’utiliser le compte de {target} sur {site} a expiré : personne n’y a répondu à temps.", "", "Voir la demande"},
	emergency:      copyText{"Urgence : {actor} utilise le compte de {target}", "{actor} vient de commencer à utiliser le compte de {target} sur {site} en urgence, sans accord préalable.", "Un responsable doit l’examiner.", "Examiner"},
	emergencyMine:  copyText{"Urgence : {actor} utilise votre compte", "{actor} vient de commencer à utiliser votre compte sur {site} en urgence, sans accord préalable.", "Les responsables ont été prévenus et doivent l’examiner. Si vous ne vous y attendiez pas, dites-le sur la page ci-dessous.", "Voir mon historique d’accès"},
	objection:      copyText{"{target} ne s’attendait pas à ce que {actor} utilise son compte", "{target} déclare ne pas s’être attendu à ce que {actor} utilise son compte sur {site}.", "Rien n’a été interrompu : veuillez vérifier ce qui s’est passé.", "Examiner"},
	objectionEnded: "L’accès a été interrompu. Veuillez vérifier ce qui s’est passé.",
	locked:         "L’accès a été interrompu, et {actor} ne pourra plus utiliser ce compte tant qu’un propriétaire n’aura pas levé le blocage. Veuillez vérifier ce qui s’est passé.",
	digest:         copyText{"Qui a utilisé le compte de qui la semaine dernière", "Ces comptes ont été utilisés par d’autres la semaine dernière, les cas inhabituels d’abord.", "", "Examiner"},
	actor:          "Qui", target: "Compte de", reason: "Motif", ticket: "Ticket", access: "Accès", when: "Quand", endedLabel: "Fin", atMost: "Au plus",
	decidedBy: "Décision de", note: "Remarque", site: "Site", week: "Semaine", total: "En tout", unusual: "Inhabituels", unreviewed: "Urgences non examinées",
	others: "et {n} autres", hours: "{n} h", minutes: "{n} min", seconds: "{n} s",
	modes: map[string]string{"full": "Accès complet", "read_only": "Lecture seule"},
	causes: map[string]string{
		"stopped": "retour à son propre compte", "expired": "le temps était écoulé", "idle": "inactivité", "revoked": "un responsable y a mis fin",
		"target_deactivated": "le compte a été désactivé", "actor_deactivated": "son propre compte a été désactivé", "policy_changed": "les règles ont changé",
		"logout": "déconnexion", "objection": "la personne ne s’y attendait pas", "start_failed": "n’a jamais pris effet",
	},
	oddities: map[string]string{
		OddEmergency: "urgence", OddObjection: "inattendu pour la personne", OddOutOfHours: "hors des heures de travail", OddFirst: "pour la première fois",
		OddLong: "très long", OddMany: "de nombreux comptes en un jour", OddRefusals: "de nombreux refus", OddUnreviewed: "pas encore examiné",
	},
}

var spanish = words{
	greeting:       "Hola, {to}:",
	footer:         "Enviado por la pasarela de acceso de {site}. Todo lo que se hace en la cuenta de otra persona queda registrado a nombre de quien lo hizo.",
	started:        copyText{"{actor} está usando la cuenta de {target}", "{actor} ha empezado a usar la cuenta de {target} en {site}.", "Lo que haga queda registrado con su propio nombre.", "Ver quién usa la cuenta de quién"},
	startedMine:    copyText{"{actor} está usando su cuenta", "{actor} ha empezado a usar su cuenta en {site}.", "Lo que haga queda registrado con su propio nombre. Si no lo esperaba, dígalo en la página siguiente: se avisa de inmediato a los responsables.", "Ver mi historial de accesos"},
	ended:          copyText{"{actor} usó la cuenta de {target}", "{actor} ha usado la cuenta de {target} en {site}. Ya ha terminado.", "", "Ver quién usó la cuenta de quién"},
	endedMine:      copyText{"{actor} usó su cuenta", "{actor} ha usado su cuenta en {site}. Ya ha terminado.", "Puede ver lo que se hizo en su nombre. Si no lo esperaba, dígalo allí.", "Ver mi historial de accesos"},
	approval:       copyText{"{actor} pide usar la cuenta de {target}", "{actor} quiere usar la cuenta de {target} en {site} y necesita su aprobación.", "Sin respuesta, la solicitud termina por sí sola ({expires}).", "Ver la solicitud"},
	consent:        copyText{"{actor} pide usar su cuenta", "{actor} quiere usar su cuenta en {site}. Solo ocurrirá si usted está de acuerdo.", "Sin respuesta, la solicitud termina por sí sola ({expires}).", "Ver la solicitud"},
	granted:        copyText{"Puede usar la cuenta de {target}", "Su solicitud de usar la cuenta de {target} en {site} fue aprobada.", "", "Continuar"},
	declined:       copyText{"No puede usar la cuenta de {target}", "Su solicitud de usar la cuenta de {target} en {site} fue rechazada.", "", "Ver la solicitud"},
	expired:        copyText{"Nadie respondió a su solicitud sobre la cuenta de {target}", "Su solicitud de usar la cuenta de {target} en {site} ha caducado: nadie respondió a tiempo.", "", "Ver la solicitud"},
	emergency:      copyText{"Emergencia: {actor} está usando la cuenta de {target}", "{actor} ha empezado a usar la cuenta de {target} en {site} como emergencia, sin aprobación.", "Un responsable tiene que revisarlo.", "Revisar"},
	emergencyMine:  copyText{"Emergencia: {actor} está usando su cuenta", "{actor} ha empezado a usar su cuenta en {site} como emergencia, sin aprobación.", "Se avisó a los responsables, que tienen que revisarlo. Si no lo esperaba, dígalo en la página siguiente.", "Ver mi historial de accesos"},
	objection:      copyText{"{target} no esperaba que {actor} usara su cuenta", "{target} dice que no esperaba que {actor} usara su cuenta en {site}.", "No se ha interrumpido nada: averigüe qué ocurrió.", "Revisar"},
	objectionEnded: "Se ha interrumpido. Averigüe qué ocurrió.",
	locked:         "Se ha interrumpido, y {actor} no podrá volver a usar esa cuenta hasta que un propietario levante el bloqueo. Averigüe qué ocurrió.",
	digest:         copyText{"Quién usó la cuenta de quién la semana pasada", "Otras personas usaron estas cuentas la semana pasada; primero, lo inusual.", "", "Revisar"},
	actor:          "Quién", target: "Cuenta de", reason: "Motivo", ticket: "Tique", access: "Acceso", when: "Cuándo", endedLabel: "Fin", atMost: "Como máximo",
	decidedBy: "Decidido por", note: "Nota", site: "Sitio", week: "Semana", total: "En total", unusual: "Inusuales", unreviewed: "Emergencias sin revisar",
	others: "y {n} más", hours: "{n} h", minutes: "{n} min", seconds: "{n} s",
	modes: map[string]string{"full": "Acceso completo", "read_only": "Solo lectura"},
	causes: map[string]string{
		"stopped": "volvió a su propia cuenta", "expired": "se agotó el tiempo", "idle": "no hubo actividad", "revoked": "un responsable lo terminó",
		"target_deactivated": "la cuenta fue desactivada", "actor_deactivated": "su propia cuenta fue desactivada", "policy_changed": "cambiaron las reglas",
		"logout": "cerró la sesión", "objection": "la persona no lo esperaba", "start_failed": "nunca llegó a empezar",
	},
	oddities: map[string]string{
		OddEmergency: "emergencia", OddObjection: "no esperado por la persona", OddOutOfHours: "fuera de horario", OddFirst: "por primera vez",
		OddLong: "muy largo", OddMany: "muchas cuentas en un día", OddRefusals: "muchos rechazos", OddUnreviewed: "aún sin revisar",
	},
}

var japanese = words{
	greeting:       "{to} 様",
	footer:         "{site} のアクセスゲートウェイからのお知らせです。他の人のアカウントで行われた操作は、すべて操作した本人の名前で記録されます。",
	started:        copyText{"{actor} が {target} のアカウントを使用しています", "{actor} が {site} で {target} のアカウントの使用を開始しました。", "操作は本人の名前で記録されます。", "使用状況を見る"},
	startedMine:    copyText{"{actor} があなたのアカウントを使用しています", "{actor} が {site} であなたのアカウントの使用を開始しました。", "操作は本人の名前で記録されます。心当たりがない場合は、下のページでお知らせください。責任者にすぐ通知されます。", "自分のアクセス履歴を見る"},
	ended:          copyText{"{actor} が {target} のアカウントを使用しました", "{actor} が {site} で {target} のアカウントを使用しました。使用は終了しています。", "", "使用状況を見る"},
	endedMine:      copyText{"{actor} があなたのアカウントを使用しました", "{actor} が {site} であなたのアカウントを使用しました。使用は終了しています。", "あなたの名前で行われた操作を確認できます。心当たりがない場合は、そのページでお知らせください。", "自分のアクセス履歴を見る"},
	approval:       copyText{"{actor} が {target} のアカウントの使用を求めています", "{actor} が {site} で {target} のアカウントの使用を求めており、あなたの承認が必要です。", "回答がない場合、依頼は自動的に終了します（{expires}）。", "依頼を見る"},
	consent:        copyText{"{actor} があなたのアカウントの使用を求めています", "{actor} が {site} であなたのアカウントの使用を求めています。あなたが同意した場合にのみ行われます。", "回答がない場合、依頼は自動的に終了します（{expires}）。", "依頼を見る"},
	granted:        copyText{"{target} のアカウントを使用できます", "{site} の {target} のアカウントの使用依頼が承認されました。", "", "続ける"},
	declined:       copyText{"{target} のアカウントは使用できません", "{site} の {target} のアカウントの使用依頼は承認されませんでした。", "", "依頼を見る"},
	expired:        copyText{"{target} のアカウントの使用依頼に回答がありませんでした", "{site} の {target} のアカウントの使用依頼は、時間内に回答がなかったため期限切れになりました。", "", "依頼を見る"},
	emergency:      copyText{"緊急: {actor} が {target} のアカウントを使用しています", "{actor} が {site} で {target} のアカウントの使用を、緊急として承認なしに開始しました。", "責任者による確認が必要です。", "確認する"},
	emergencyMine:  copyText{"緊急: {actor} があなたのアカウントを使用しています", "{actor} が {site} であなたのアカウントの使用を、緊急として承認なしに開始しました。", "責任者に通知され、確認が行われます。心当たりがない場合は、下のページでお知らせください。", "自分のアクセス履歴を見る"},
	objection:      copyText{"{target} は {actor} によるアカウントの使用に心当たりがありません", "{target} は、{site} での {actor} によるアカウントの使用に心当たりがないと申し出ています。", "使用は終了されていません。状況を確認してください。", "確認する"},
	objectionEnded: "使用は終了されました。状況を確認してください。",
	locked:         "使用は終了され、所有者がロックを解除するまで {actor} はこのアカウントを使用できません。状況を確認してください。",
	digest:         copyText{"先週のアカウント使用状況", "先週、他の人が使用したアカウントです。通常と異なるものから順に並んでいます。", "", "確認する"},
	actor:          "使用者", target: "アカウント", reason: "理由", ticket: "チケット", access: "アクセス", when: "日時", endedLabel: "終了", atMost: "最長",
	decidedBy: "決定者", note: "メモ", site: "サイト", week: "週", total: "合計", unusual: "通常と異なるもの", unreviewed: "未確認の緊急使用",
	others: "ほか {n} 件", hours: "{n} 時間", minutes: "{n} 分", seconds: "{n} 秒",
	modes: map[string]string{"full": "フルアクセス", "read_only": "閲覧のみ"},
	causes: map[string]string{
		"stopped": "自分のアカウントに戻った", "expired": "制限時間", "idle": "長時間操作なし", "revoked": "責任者による終了",
		"target_deactivated": "アカウントの無効化", "actor_deactivated": "使用者のアカウントの無効化", "policy_changed": "規則の変更",
		"logout": "ログアウト", "objection": "本人の申し出", "start_failed": "開始されなかった",
	},
	oddities: map[string]string{
		OddEmergency: "緊急", OddObjection: "本人に心当たりなし", OddOutOfHours: "時間外", OddFirst: "初めて",
		OddLong: "非常に長い", OddMany: "1 日に多数のアカウント", OddRefusals: "拒否が多い", OddUnreviewed: "未確認",
	},
}
