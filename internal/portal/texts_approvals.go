package portal

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
	"github.com/seed-240d5494/caddy-impersonate/internal/policy"
)

// approvalTexts are the words of the pages of starts that wait for others, in one language.
type approvalTexts struct {
	Lang string

	// Of the list.
	Menu, Heading, Lead, ForYou, NothingForYou, Yours, Others, Lately string
	Look, WaitingOne, WaitingMany, WaitingNone                        string
	AllRequests, Offline                                              string

	// Of a request: Line has the actor's and the target's name, OwnHeading the target's.
	Line, OwnHeading                                                                          string
	Who, Whom, Reason, Ticket, Access, HowLong, AskedAt, WaitsUntil, StartUntil, ApprovedBy   string
	Note, Optional, Approve, Agree, Refuse, TakeBack, Cancel, CheckAgain, StartAs, LoginAgain string
	Pending, Approved, StepUp, Proven, Started, Refused, Cancelled, Expired, ExpiredText      string
	WaitsForApproval, WaitsForConsent, WaitsForBoth, By                                       string
	Full, ReadOnly                                                                            string
	Hours, Minutes, Seconds                                                                   string

	// Of the question before a start.
	NeedsApproval, NeedsConsent, NeedsStepUp, AskButton, EmergencyTitle, EmergencyText, EmergencyButton string
}

func approvalText(r *http.Request) *approvalTexts {
	return approvalLanguages.In(lang.Of(r.Header.Get("Accept-Language")))
}

func (t *approvalTexts) mode(mode string) string {
	switch mode {
	case policy.ModeFull:
		return t.Full
	case policy.ModeReadOnly:
		return t.ReadOnly
	}
	return mode
}

func (t *approvalTexts) waitingFor(n int) string {
	switch n {
	case 0:
		return t.WaitingNone
	case 1:
		return t.WaitingOne
	}
	return fmt.Sprintf(t.WaitingMany, n)
}

// duration is a length of time in short words.
func (t *approvalTexts) duration(d time.Duration) string {
	var parts []string
	for _, u := range []struct {
		unit time.Duration
		word string
	}{{time.Hour, t.Hours}, {time.Minute, t.Minutes}, {time.Second, t.Seconds}} {
		if n := d / u.unit; n > 0 {
			d -= n * u.unit
			parts = append(parts, fmt.Sprintf(u.word, n))
		}
	}
	return strings.Join(parts, " ")
}

var approvalLanguages = lang.Texts[*approvalTexts]{
	"en": {
		Lang: "en", Menu: "Requests", Heading: "Requests", Lead: "Some accounts may only be used once somebody else has agreed.",
		ForYou: "Waiting for you", NothingForYou: "Nothing waits for your decision.", Yours: "Your requests", Others: "Other open requests", Lately: "Lately",
		Look: "Look", WaitingOne: "One request waits for your decision.", WaitingMany: "%d requests wait for your decision.", WaitingNone: "Nothing waits for your decision.",
		AllRequests: "All requests", Offline: "This page can't be updated right now. Check your connection.",
		Line: "%s asks to use the account of %s", OwnHeading: "Your request to use the account of %s",
		Who: "Who", Whom: "Whose account", Reason: "Reason", Ticket: "Ticket", Access: "Access", HowLong: "For how long", AskedAt: "Asked", WaitsUntil: "Waits until", StartUntil: "To be started until", ApprovedBy: "Approved by",
		Note: "Note", Optional: "(optional)", Approve: "Approve", Agree: "I agree", Refuse: "Refuse", TakeBack: "Take it back", Cancel: "Cancel the request", CheckAgain: "Check again", StartAs: "Log in as %s", LoginAgain: "Log in again and start",
		Pending: "Waiting", Approved: "Approved", StepUp: "Waiting for a fresh login", Proven: "Ready", Started: "Started", Refused: "Refused", Cancelled: "Cancelled", Expired: "Expired", ExpiredText: "Nobody decided, or nothing was started, in time.",
		WaitsForApproval: "Somebody else has to approve this. This page goes on by itself.", WaitsForConsent: "%s has to agree. This page goes on by itself.", WaitsForBoth: "Somebody else has to approve this, and %s has to agree. This page goes on by itself.", By: "By %s.",
		Full: "Full access", ReadOnly: "Read only", Hours: "%d h", Minutes: "%d min", Seconds: "%d s",
		NeedsApproval: "Somebody else has to approve this before you can start.", NeedsConsent: "The person has to agree before you can start.", NeedsStepUp: "You may be asked to log in again.",
		AskButton: "Ask for it", EmergencyTitle: "In an emergency", EmergencyText: "You can start at once, without anybody’s agreement. Owners are told immediately, every page says so, and it will be reviewed. Write down why.", EmergencyButton: "Start without agreement",
	},
	"de": {
		Lang: "de", Menu: "Anfragen", Heading: "Anfragen", Lead: "Manche Konten dürfen erst verwendet werden, wenn jemand anderes zugestimmt hat.",
		ForYou: "Warten auf Sie", NothingForYou: "Nichts wartet auf Ihre Entscheidung.", Yours: "Ihre Anfragen", Others: "Andere offene Anfragen", Lately: "Zuletzt",
		Look: "Ansehen", WaitingOne: "Eine Anfrage wartet auf Ihre Entscheidung.", WaitingMany: "%d Anfragen warten auf Ihre Entscheidung.", WaitingNone: "Nichts wartet auf Ihre Entscheidung.",
		AllRequests: "Alle Anfragen", Offline: "Diese Seite kann gerade nicht aktualisiert werden. Prüfen Sie Ihre Verbindung.",
		Line: "%s möchte das Konto von %s verwenden", OwnHeading: "Ihre Anfrage zum Konto von %s",
		Who: "Wer", Whom: "Wessen Konto", Reason: "Grund", Ticket: "Ticket", Access: "Zugriff", HowLong: "Wie lange", AskedAt: "Angefragt", WaitsUntil: "Wartet bis", StartUntil: "Zu beginnen bis", ApprovedBy: "Genehmigt von",
		Note: "Anmerkung", Optional: "(freiwillig)", Approve: "Genehmigen", Agree: "Ich stimme zu", Refuse: "Ablehnen", TakeBack: "Zurücknehmen", Cancel: "Anfrage zurückziehen", CheckAgain: "Erneut prüfen", StartAs: "Als %s anmelden", LoginAgain: "Erneut anmelden und beginnen",
		Pending: "Wartet", Approved: "Genehmigt", StepUp: "Wartet auf eine neue Anmeldung", Proven: "Bereit", Started: "Begonnen", Refused: "Abgelehnt", Cancelled: "Zurückgezogen", Expired: "Abgelaufen", ExpiredText: "Es wurde nicht rechtzeitig entschieden oder begonnen.",
		WaitsForApproval: "Jemand anderes muss das genehmigen. Diese Seite geht von selbst weiter.", WaitsForConsent: "%s muss zustimmen. Diese Seite geht von selbst weiter.", WaitsForBoth: "Jemand anderes muss das genehmigen, und %s muss zustimmen. Diese Seite geht von selbst weiter.", By: "Von %s.",
		Full: "Voller Zugriff", ReadOnly: "Nur lesen", Hours: "%d Std.", Minutes: "%d Min.", Seconds: "%d Sek.",
		NeedsApproval: "Jemand anderes muss das genehmigen, bevor Sie beginnen können.", NeedsConsent: "Die Person muss zustimmen, bevor Sie beginnen können.", NeedsStepUp: "Sie müssen sich vielleicht erneut anmelden.",
		AskButton: "Anfragen", EmergencyTitle: "Im Notfall", EmergencyText: "Sie können sofort beginnen, ohne dass jemand zustimmt. Die Verantwortlichen erfahren es sogleich, jede Seite weist darauf hin, und es wird überprüft. Schreiben Sie den Grund auf.", EmergencyButton: "Ohne Zustimmung beginnen",
	},
	"fr": {
		Lang: "fr", Menu: "Demandes", Heading: "Demandes", Lead: "Certains comptes ne peuvent être utilisés qu’avec l’accord de quelqu’un d’autre.",
		ForYou: "En attente de vous", NothingForYou: "Rien n’attend votre décision.", Yours: "Vos demandes", Others: "Autres demandes en cours", Lately: "Récemment",
		Look: "Voir", WaitingOne: "Une demande attend votre décision.", WaitingMany: "%d demandes attendent votre décision.", WaitingNone: "Rien n’attend votre décision.",
		AllRequests: "Toutes les demandes", Offline: "Cette page ne peut pas être actualisée pour le moment. Vérifiez votre connexion.",
		Line: "%s demande à utiliser le compte de %s", OwnHeading: "Votre demande pour le compte de %s",
		Who: "Qui", Whom: "Compte de", Reason: "Motif", Ticket: "Ticket", Access: "Accès", HowLong: "Durée", AskedAt: "Demandé", WaitsUntil: "En attente jusqu’au", StartUntil: "À commencer avant", ApprovedBy: "Approuvé par",
		Note: "Remarque", Optional: "(facultatif)", Approve: "Approuver", Agree: "J’accepte", Refuse: "Refuser", TakeBack: "Retirer l’accord", Cancel: "Annuler la demande", CheckAgain: "Vérifier à nouveau", StartAs: "Se connecter en tant que %s", LoginAgain: "Se reconnecter et commencer",
		Pending: "En attente", Approved: "Approuvée", StepUp: "En attente d’une nouvelle connexion", Proven: "Prête", Started: "Commencée", Refused: "Refusée", Cancelled: "Annulée", Expired: "Expirée", ExpiredText: "Personne n’a décidé, ou rien n’a été commencé, à temps.",
		WaitsForApproval: "Quelqu’un d’autre doit approuver. Cette page continue d’elle-même.", WaitsForConsent: "%s doit accepter. Cette page continue d’elle-même.", WaitsForBoth: "Quelqu’un d’autre doit approuver, et %s doit accepter. Cette page continue d’elle-même.", By: "Par %s.",
		Full: "Accès complet", ReadOnly: "Lecture seule", Hours: "%d h", Minutes: "%d min", Seconds: "%d s",
		NeedsApproval: "Quelqu’un d’autre doit approuver avant que vous puissiez commencer.", NeedsConsent: "La personne doit accepter avant que vous puissiez commencer.", NeedsStepUp: "Il se peut que vous deviez vous reconnecter.",
		AskButton: "Demander", EmergencyTitle: "En cas d’urgence", EmergencyText: "Vous pouvez commencer aussitôt, sans l’accord de personne. Les propriétaires sont prévenus immédiatement, chaque page l’indique, et ce sera examiné. Écrivez pourquoi.", EmergencyButton: "Commencer sans accord",
	},
	"es": {
		Lang: "es", Menu: "Solicitudes", Heading: "Solicitudes", Lead: "Algunas cuentas solo pueden usarse cuando otra persona ha dado su acuerdo.",
		ForYou: "Esperan su decisión", NothingForYou: "Nada espera su decisión.", Yours: "Sus solicitudes", Others: "Otras solicitudes abiertas", Lately: "Últimamente",
		Look: "Ver", WaitingOne: "Una solicitud espera su decisión.", WaitingMany: "%d solicitudes esperan su decisión.", WaitingNone: "Nada espera su decisión.",
		AllRequests: "Todas las solicitudes", Offline: "Esta página no puede actualizarse ahora. Compruebe su conexión.",
		Line: "%s pide usar la cuenta de %s", OwnHeading: "Su solicitud para la cuenta de %s",
		Who: "Quién", Whom: "Cuenta de", Reason: "Motivo", Ticket: "Ticket", Access: "Acceso", HowLong: "Duración", AskedAt: "Solicitada", WaitsUntil: "Espera hasta", StartUntil: "Debe empezar antes de", ApprovedBy: "Aprobada por",
		Note: "Nota", Optional: "(opcional)", Approve: "Aprobar", Agree: "Acepto", Refuse: "Rechazar", TakeBack: "Retirar el acuerdo", Cancel: "Cancelar la solicitud", CheckAgain: "Comprobar de nuevo", StartAs: "Entrar como %s", LoginAgain: "Volver a iniciar sesión y empezar",
		Pending: "En espera", Approved: "Aprobada", StepUp: "Espera un nuevo inicio de sesión", Proven: "Lista", Started: "Empezada", Refused: "Rechazada", Cancelled: "Cancelada", Expired: "Caducada", ExpiredText: "Nadie decidió, o no se empezó, a tiempo.",
		WaitsForApproval: "Otra persona tiene que aprobarlo. Esta página continúa por sí sola.", WaitsForConsent: "%s tiene que aceptar. Esta página continúa por sí sola.", WaitsForBoth: "Otra persona tiene que aprobarlo y %s tiene que aceptar. Esta página continúa por sí sola.", By: "Por %s.",
		Full: "Acceso completo", ReadOnly: "Solo lectura", Hours: "%d h", Minutes: "%d min", Seconds: "%d s",
		NeedsApproval: "Otra persona tiene que aprobarlo antes de que pueda empezar.", NeedsConsent: "La persona tiene que aceptar antes de que pueda empezar.", NeedsStepUp: "Puede que tenga que volver a iniciar sesión.",
		AskButton: "Solicitar", EmergencyTitle: "En una emergencia", EmergencyText: "Puede empezar ahora mismo, sin el acuerdo de nadie. Se avisa a los propietarios al instante, cada página lo indica y se revisará. Escriba por qué.", EmergencyButton: "Empezar sin acuerdo",
	},
	"ja": {
		Lang: "ja", Menu: "申請", Heading: "申請", Lead: "一部のアカウントは、ほかの人の同意があるまで使えません。",
		ForYou: "あなたの判断待ち", NothingForYou: "判断待ちの申請はありません。", Yours: "自分の申請", Others: "ほかの申請", Lately: "最近の申請",
		Look: "見る", WaitingOne: "1件の申請があなたの判断を待っています。", WaitingMany: "%d件の申請があなたの判断を待っています。", WaitingNone: "判断待ちの申請はありません。",
		AllRequests: "すべての申請", Offline: "現在このページを更新できません。接続を確認してください。",
		Line: "%s さんが %s さんのアカウントの使用を申請しています", OwnHeading: "%s さんのアカウントの使用申請",
		Who: "申請者", Whom: "対象のアカウント", Reason: "理由", Ticket: "チケット", Access: "アクセス", HowLong: "時間", AskedAt: "申請日時", WaitsUntil: "期限", StartUntil: "開始期限", ApprovedBy: "承認者",
		Note: "メモ", Optional: "(任意)", Approve: "承認する", Agree: "同意する", Refuse: "拒否する", TakeBack: "取り消す", Cancel: "申請を取り下げる", CheckAgain: "再確認", StartAs: "%s さんとしてログイン", LoginAgain: "再度ログインして開始",
		Pending: "待機中", Approved: "承認済み", StepUp: "再ログイン待ち", Proven: "準備完了", Started: "開始済み", Refused: "拒否", Cancelled: "取り下げ", Expired: "期限切れ", ExpiredText: "期限内に判断または開始されませんでした。",
		WaitsForApproval: "ほかの人の承認が必要です。このページは自動的に進みます。", WaitsForConsent: "%s さんの同意が必要です。このページは自動的に進みます。", WaitsForBoth: "ほかの人の承認と %s さんの同意が必要です。このページは自動的に進みます。", By: "%s による。",
		Full: "フルアクセス", ReadOnly: "閲覧のみ", Hours: "%d時間", Minutes: "%d分", Seconds: "%d秒",
		NeedsApproval: "開始する前にほかの人の承認が必要です。", NeedsConsent: "開始する前に本人の同意が必要です。", NeedsStepUp: "再度ログインを求められることがあります。",
		AskButton: "申請する", EmergencyTitle: "緊急の場合", EmergencyText: "誰の同意もなくすぐに開始できます。所有者にはただちに通知され、すべてのページに表示され、後で確認されます。理由を書いてください。", EmergencyButton: "同意なしで開始",
	},
}
