package portal

import (
	"fmt"
	"net/http"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
)

// auditTexts are the words of the auditors' pages in one language. What the audit calls its columns and codes is the same in
// all of them, so that auditors find it in the tables, too.
type auditTexts struct {
	Lang string

	Audit, Impersonations, Events, Activity, Lead, EventsLead, ActivityLead string

	// Filters.
	Actor, Target, From, To, Outcome, Type, Search, Apply, Clear, AnyOutcome, AnyType, GoesOn, BeginningRemoved, BeginningMissing, Filters, UTC string

	// Lists. Rows has a number.
	Rows, FirstRows, MoreRows, LastRows, Empty, EmptyText, NoneYet, NoneYetText, More, First, ExportCSV, ExportJSONL, BadFilter string

	// One impersonation.
	Who, Whom, Reason, Ticket, Mode, Policy, Site, Address, Started, Ended, Lasted, Requests, Writes, Refusals, By string
	Timeline, Detail, AllImpersonations, ToImpersonation, Evidence, EvidenceHint                                   string
	// Who agreed to a start: a username, the target, or nobody.
	Agreed, ByTarget, ByNobody string

	// Activity.
	WorthALook, NothingToSee, OverTime, PerHour, PerDay, PerMonth, ByActor, AsTable, Time, Targets, Last7, Last30, Last365 string
	Kinds                                                                                                                  map[string]string
	Finding                                                                                                                map[string]string // with a number or a length of time
}

func auditText(r *http.Request) *auditTexts {
	return auditLanguages.In(lang.Of(r.Header.Get("Accept-Language")))
}

// count says how many rows a page shows, and whether that is all.
func (t *auditTexts) count(n int, first, last bool) string {
	switch {
	case first && last, n == 0:
		return fmt.Sprintf(t.Rows, n)
	case first:
		return fmt.Sprintf(t.FirstRows, n)
	case last:
		return fmt.Sprintf(t.LastRows, n)
	}
	return fmt.Sprintf(t.MoreRows, n)
}

// Beginning says why the start of an impersonation is not there.
func (t *auditTexts) Beginning(i *audit.Impersonation) string {
	if i.BeginningMissing {
		return t.BeginningMissing
	}
	return t.BeginningRemoved
}

// clock is a length of time as every language reads it: 1:02:03.
func clockOf(d time.Duration) string {
	s := int(max(d, 0) / time.Second)
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}

var auditLanguages = lang.Texts[*auditTexts]{
	"en": {
		Lang: "en", ToImpersonation: "The impersonation", Agreed: "Agreed", ByTarget: "the target", ByNobody: "nobody: an emergency",
		Evidence: "Download the evidence", EvidenceHint: "One file with every row, the proof that it is in the signed log, a report to print, and how to check it without this gateway.",
		Audit: "Audit", Impersonations: "Impersonations", Events: "Events", Activity: "Activity",
		Lead: "Who used whose account, when and why. That you read this is recorded too.", EventsLead: "What else must not happen unseen. That you read this is recorded too.",
		ActivityLead: "How much was done in others' accounts, and what is worth a look. Days and hours are in UTC.",
		Actor:        "Actor", Target: "Target", From: "From", To: "To", Outcome: "End", Type: "Type", Search: "Search", Apply: "Show", Clear: "Clear", AnyOutcome: "Any", AnyType: "Any",
		GoesOn: "goes on", BeginningRemoved: "Its beginning was removed: it was older than the audit is kept.",
		BeginningMissing: "Its beginning is missing, and not because of how long the audit is kept: run audit verify.", Filters: "Filters", UTC: "Times are in UTC.",
		Rows: "%d found", FirstRows: "The first %d; there are more", MoreRows: "The next %d", LastRows: "The last %d", Empty: "Nothing found", EmptyText: "Nothing in the audit fits these filters.", NoneYet: "Nothing yet", NoneYetText: "It appears here a few seconds after it was recorded.",
		More: "Show more", First: "Back to the beginning", ExportCSV: "Export as CSV", ExportJSONL: "Export as JSON lines", BadFilter: "This can't be asked for.",
		Who: "Actor", Whom: "Target", Reason: "Reason", Ticket: "Ticket", Mode: "Mode", Policy: "Policy", Site: "Site", Address: "Address", Started: "Started", Ended: "Ended", Lasted: "Lasted",
		Requests: "Requests", Writes: "Writes", Refusals: "Refused", By: "by", Timeline: "What happened", Detail: "Details", AllImpersonations: "All impersonations",
		WorthALook: "Worth a look", NothingToSee: "Nothing stands out.", OverTime: "Over time", PerHour: "per hour", PerDay: "per day", PerMonth: "per month", ByActor: "By actor", AsTable: "As a table",
		Time: "Time", Targets: "Accounts", Last7: "Last 7 days", Last30: "Last 30 days", Last365: "Last year",
		Kinds: map[string]string{
			"out_of_hours": "Out of hours", "first_for_pair": "First time in this account", "many_refusals": "Many refusals", "very_long": "Very long", "many_targets": "Many accounts in a day", "refused_starts": "Many refused starts",
		},
		Finding: map[string]string{"many_refusals": "%d requests refused", "very_long": "lasted %s", "many_targets": "%d accounts", "refused_starts": "%d starts refused"},
	},
	"de": {
		Lang: "de", ToImpersonation: "Zur Anmeldung", Agreed: "Zugestimmt", ByTarget: "benutztes Konto", ByNobody: "niemand: ein Notfall",
		Evidence: "Nachweis herunterladen", EvidenceHint: "Eine Datei mit jeder Zeile, dem Beweis, dass sie im signierten Protokoll steht, einem Bericht zum Drucken und einer Anleitung, das ohne dieses Gateway zu prüfen.",
		Audit: "Protokoll", Impersonations: "Anmeldungen als andere", Events: "Ereignisse", Activity: "Aktivität",
		Lead: "Wer wessen Konto benutzt hat, wann und warum. Auch dass Sie dies lesen, wird protokolliert.", EventsLead: "Was sonst nicht ungesehen geschehen darf. Auch dass Sie dies lesen, wird protokolliert.",
		ActivityLead: "Wie viel in fremden Konten getan wurde und was einen Blick wert ist. Tage und Stunden sind in UTC.",
		Actor:        "Handelnde Person", Target: "Benutztes Konto", From: "Von", To: "Bis", Outcome: "Ende", Type: "Art", Search: "Suche", Apply: "Anzeigen", Clear: "Zurücksetzen", AnyOutcome: "Alle", AnyType: "Alle",
		GoesOn: "läuft noch", BeginningRemoved: "Der Anfang wurde gelöscht: Er war älter, als das Protokoll aufbewahrt wird.",
		BeginningMissing: "Der Anfang fehlt, und nicht wegen der Aufbewahrungsdauer: Bitte audit verify ausführen.", Filters: "Filter", UTC: "Zeiten sind in UTC.",
		Rows: "%d gefunden", FirstRows: "Die ersten %d; es gibt mehr", MoreRows: "Die nächsten %d", LastRows: "Die letzten %d", Empty: "Nichts gefunden", EmptyText: "Nichts im Protokoll passt zu diesen Filtern.", NoneYet: "Noch nichts", NoneYetText: "Es erscheint hier einige Sekunden, nachdem es aufgezeichnet wurde.",
		More: "Mehr anzeigen", First: "Zurück zum Anfang", ExportCSV: "Als CSV exportieren", ExportJSONL: "Als JSON-Zeilen exportieren", BadFilter: "Danach kann nicht gefragt werden.",
		Who: "Handelnde Person", Whom: "Benutztes Konto", Reason: "Grund", Ticket: "Ticket", Mode: "Modus", Policy: "Regel", Site: "Website", Address: "Adresse", Started: "Begonnen", Ended: "Beendet", Lasted: "Dauer",
		Requests: "Anfragen", Writes: "Schreibend", Refusals: "Verweigert", By: "durch", Timeline: "Was geschah", Detail: "Einzelheiten", AllImpersonations: "Alle Anmeldungen als andere",
		WorthALook: "Einen Blick wert", NothingToSee: "Nichts fällt auf.", OverTime: "Im Lauf der Zeit", PerHour: "je Stunde", PerDay: "je Tag", PerMonth: "je Monat", ByActor: "Nach Person", AsTable: "Als Tabelle",
		Time: "Zeit", Targets: "Konten", Last7: "Letzte 7 Tage", Last30: "Letzte 30 Tage", Last365: "Letztes Jahr",
		Kinds: map[string]string{
			"out_of_hours": "Außerhalb der Arbeitszeit", "first_for_pair": "Erstmals in diesem Konto", "many_refusals": "Viele Verweigerungen", "very_long": "Sehr lang", "many_targets": "Viele Konten an einem Tag", "refused_starts": "Viele verweigerte Anmeldungen",
		},
		Finding: map[string]string{"many_refusals": "%d Anfragen verweigert", "very_long": "dauerte %s", "many_targets": "%d Konten", "refused_starts": "%d Anmeldungen verweigert"},
	},
	"fr": {
		Lang: "fr", ToImpersonation: "La connexion", Agreed: "Accord", ByTarget: "la personne concernée", ByNobody: "personne : une urgence",
		Evidence: "Télécharger les preuves", EvidenceHint: "Un fichier avec chaque ligne, la preuve qu’elle figure dans le journal signé, un rapport à imprimer et la façon de le vérifier sans cette passerelle.",
		Audit: "Audit", Impersonations: "Connexions en tant qu’autrui", Events: "Événements", Activity: "Activité",
		Lead: "Qui a utilisé le compte de qui, quand et pourquoi. Votre lecture est enregistrée aussi.", EventsLead: "Ce qui ne doit pas non plus passer inaperçu. Votre lecture est enregistrée aussi.",
		ActivityLead: "Ce qui a été fait dans les comptes d’autrui, et ce qui mérite un regard. Jours et heures en UTC.",
		Actor:        "Auteur", Target: "Compte utilisé", From: "Du", To: "Au", Outcome: "Fin", Type: "Type", Search: "Recherche", Apply: "Afficher", Clear: "Effacer", AnyOutcome: "Toutes", AnyType: "Tous",
		GoesOn: "en cours", BeginningRemoved: "Son début a été supprimé : il dépassait la durée de conservation.",
		BeginningMissing: "Son début manque, et pas à cause de la durée de conservation : exécutez audit verify.", Filters: "Filtres", UTC: "Les heures sont en UTC.",
		Rows: "%d trouvés", FirstRows: "Les %d premiers ; il y en a d’autres", MoreRows: "Les %d suivants", LastRows: "Les %d derniers", Empty: "Rien trouvé", EmptyText: "Rien dans l’audit ne correspond à ces filtres.", NoneYet: "Rien pour l’instant", NoneYetText: "Cela apparaît ici quelques secondes après l’enregistrement.",
		More: "Afficher plus", First: "Retour au début", ExportCSV: "Exporter en CSV", ExportJSONL: "Exporter en lignes JSON", BadFilter: "Cette demande n’est pas possible.",
		Who: "Auteur", Whom: "Compte utilisé", Reason: "Raison", Ticket: "Ticket", Mode: "Mode", Policy: "Règle", Site: "Site", Address: "Adresse", Started: "Début", Ended: "Fin", Lasted: "Durée",
		Requests: "Requêtes", Writes: "Écritures", Refusals: "Refusées", By: "par", Timeline: "Ce qui s’est passé", Detail: "Détails", AllImpersonations: "Toutes les connexions",
		WorthALook: "À regarder", NothingToSee: "Rien ne se remarque.", OverTime: "Dans le temps", PerHour: "par heure", PerDay: "par jour", PerMonth: "par mois", ByActor: "Par auteur", AsTable: "En tableau",
		Time: "Heure", Targets: "Comptes", Last7: "7 derniers jours", Last30: "30 derniers jours", Last365: "Dernière année",
		Kinds: map[string]string{
			"out_of_hours": "Hors des heures de travail", "first_for_pair": "Première fois dans ce compte", "many_refusals": "Beaucoup de refus", "very_long": "Très long", "many_targets": "Beaucoup de comptes en un jour", "refused_starts": "Beaucoup de connexions refusées",
		},
		Finding: map[string]string{"many_refusals": "%d requêtes refusées", "very_long": "durée %s", "many_targets": "%d comptes", "refused_starts": "%d connexions refusées"},
	},
	"es": {
		Lang: "es", ToImpersonation: "El acceso", Agreed: "Acuerdo", ByTarget: "la persona afectada", ByNobody: "nadie: una emergencia",
		Evidence: "Descargar las pruebas", EvidenceHint: "Un archivo con cada fila, la prueba de que está en el registro firmado, un informe para imprimir y cómo comprobarlo sin esta pasarela.",
		Audit: "Auditoría", Impersonations: "Accesos como otra persona", Events: "Sucesos", Activity: "Actividad",
		Lead: "Quién usó la cuenta de quién, cuándo y por qué. También se registra que usted lee esto.", EventsLead: "Qué más no debe pasar inadvertido. También se registra que usted lee esto.",
		ActivityLead: "Cuánto se hizo en cuentas ajenas y qué merece una mirada. Días y horas en UTC.",
		Actor:        "Quién", Target: "Cuenta usada", From: "Desde", To: "Hasta", Outcome: "Fin", Type: "Tipo", Search: "Búsqueda", Apply: "Mostrar", Clear: "Borrar", AnyOutcome: "Cualquiera", AnyType: "Cualquiera",
		GoesOn: "en curso", BeginningRemoved: "Su comienzo se eliminó: superaba el tiempo de conservación.",
		BeginningMissing: "Falta su comienzo, y no por el tiempo de conservación: ejecute audit verify.", Filters: "Filtros", UTC: "Las horas están en UTC.",
		Rows: "%d encontrados", FirstRows: "Los primeros %d; hay más", MoreRows: "Los %d siguientes", LastRows: "Los últimos %d", Empty: "Nada encontrado", EmptyText: "Nada en la auditoría cumple estos filtros.", NoneYet: "Nada todavía", NoneYetText: "Aparece aquí unos segundos después de registrarse.",
		More: "Mostrar más", First: "Volver al principio", ExportCSV: "Exportar como CSV", ExportJSONL: "Exportar como líneas JSON", BadFilter: "Eso no se puede pedir.",
		Who: "Quién", Whom: "Cuenta usada", Reason: "Motivo", Ticket: "Ticket", Mode: "Modo", Policy: "Regla", Site: "Sitio", Address: "Dirección", Started: "Inicio", Ended: "Fin", Lasted: "Duración",
		Requests: "Peticiones", Writes: "Escrituras", Refusals: "Rechazadas", By: "por", Timeline: "Qué pasó", Detail: "Detalles", AllImpersonations: "Todos los accesos",
		WorthALook: "Merece una mirada", NothingToSee: "Nada llama la atención.", OverTime: "En el tiempo", PerHour: "por hora", PerDay: "por día", PerMonth: "por mes", ByActor: "Por persona", AsTable: "Como tabla",
		Time: "Hora", Targets: "Cuentas", Last7: "Últimos 7 días", Last30: "Últimos 30 días", Last365: "Último año",
		Kinds: map[string]string{
			"out_of_hours": "Fuera de horario", "first_for_pair": "Primera vez en esta cuenta", "many_refusals": "Muchos rechazos", "very_long": "Muy largo", "many_targets": "Muchas cuentas en un día", "refused_starts": "Muchos accesos rechazados",
		},
		Finding: map[string]string{"many_refusals": "%d peticiones rechazadas", "very_long": "duró %s", "many_targets": "%d cuentas", "refused_starts": "%d accesos rechazados"},
	},
	"ja": {
		Lang: "ja", ToImpersonation: "代理ログインを表示", Agreed: "同意", ByTarget: "対象者本人", ByNobody: "なし(緊急)",
		Evidence: "証拠をダウンロード", EvidenceHint: "すべての行、それが署名済みログにあることの証明、印刷用の報告書、このゲートウェイなしで検証する方法を一つのファイルにまとめます。",
		Audit: "監査", Impersonations: "代理ログイン", Events: "イベント", Activity: "活動状況",
		Lead: "誰が誰のアカウントを、いつ、なぜ使ったか。この閲覧も記録されます。", EventsLead: "そのほか見逃してはならない出来事。この閲覧も記録されます。",
		ActivityLead: "他人のアカウントで行われた操作の量と、確認すべき点。日時は UTC です。",
		Actor:        "操作者", Target: "対象アカウント", From: "開始日", To: "終了日", Outcome: "終了理由", Type: "種類", Search: "検索", Apply: "表示", Clear: "クリア", AnyOutcome: "すべて", AnyType: "すべて",
		GoesOn: "継続中", BeginningRemoved: "開始部分は保存期間を過ぎたため削除されました。",
		BeginningMissing: "開始部分がありません。保存期間によるものではありません。audit verify を実行してください。", Filters: "絞り込み", UTC: "時刻は UTC です。",
		Rows: "%d 件", FirstRows: "最初の %d 件(続きがあります)", MoreRows: "次の %d 件", LastRows: "最後の %d 件", Empty: "見つかりません", EmptyText: "条件に合う記録はありません。", NoneYet: "まだありません", NoneYetText: "記録の数秒後にここに表示されます。",
		More: "さらに表示", First: "最初に戻る", ExportCSV: "CSV で書き出す", ExportJSONL: "JSON Lines で書き出す", BadFilter: "この条件では検索できません。",
		Who: "操作者", Whom: "対象アカウント", Reason: "理由", Ticket: "チケット", Mode: "モード", Policy: "ポリシー", Site: "サイト", Address: "アドレス", Started: "開始", Ended: "終了", Lasted: "時間",
		Requests: "リクエスト", Writes: "書き込み", Refusals: "拒否", By: "実行者", Timeline: "経過", Detail: "詳細", AllImpersonations: "すべての代理ログイン",
		WorthALook: "確認すべき点", NothingToSee: "特に目立つものはありません。", OverTime: "推移", PerHour: "1時間ごと", PerDay: "1日ごと", PerMonth: "1か月ごと", ByActor: "操作者別", AsTable: "表で見る",
		Time: "時刻", Targets: "アカウント数", Last7: "過去7日間", Last30: "過去30日間", Last365: "過去1年間",
		Kinds: map[string]string{
			"out_of_hours": "勤務時間外", "first_for_pair": "このアカウントでは初めて", "many_refusals": "拒否が多い", "very_long": "非常に長い", "many_targets": "1日に多数のアカウント", "refused_starts": "拒否された開始が多い",
		},
		Finding: map[string]string{"many_refusals": "拒否 %d 件", "very_long": "%s 継続", "many_targets": "%d アカウント", "refused_starts": "拒否された開始 %d 件"},
	},
}
